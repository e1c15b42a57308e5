"""Model, optimizer and data of a run, all standing at one step: going a step on, going back, saving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import CheckpointError, ShardError
from schemas.run import latest_step
from training.checkpoints.files import CheckpointState, restore
from training.checkpoints.saver import CheckpointSaver
from training.data.batch_documents import BatchDocument, batch_documents
from training.data.batches import Batch, BatchReader
from training.data.block_cache import BlockCache
from training.data.shards import open_streams
from training.data.skips import Skip, append_skips, read_skips
from training.loop.bad_steps import Action, BadStep
from training.loop.guard import SpikeGuard
from training.loop.micro_batches import micro_batches_of
from training.loop.optimizer import build_optimizer
from training.loop.parallel import build_trainee
from training.loop.prepare import PreparedRun
from training.loop.run_log import finite_or_none
from training.loop.schedule import learning_rate
from training.loop.step import StepResult, train_step
from training.process_group import Ranks

__all__ = ["Advance", "Learner"]


@dataclass(frozen=True)
class Advance:
    """One step gone on, or refused; `finding` says what is wrong with it, and is empty where nothing is."""

    result: StepResult
    learning_rate: float
    finding: str
    samples: tuple[int, int]  # of the run, first and one past the last


class Learner:
    """A run in memory, at `step`; begins at the newest checkpoint, or at nothing."""

    def __init__(self, prepared: PreparedRun, ranks: Ranks) -> None:
        self._prepared, self._config, self._ranks = prepared, prepared.config, ranks
        config, plan = prepared.config, prepared.plan
        self.trainee = build_trainee(config, prepared.description.model, ranks)
        self._optimizer = build_optimizer(self.trainee.gpt, config)
        cache = BlockCache(config.cache_folder, config.cache_bytes)
        documents = config.document_attention
        self._streams = open_streams(prepared.root, plan, "train", config.verify_shards, cache, documents)
        self.validation = open_streams(prepared.root, plan, "validation", config.verify_shards, cache, documents)
        self._saver = CheckpointSaver(
            prepared.folder,
            ranks,
            keep=config.keep_checkpoints,
            keep_every=config.keep_every,
            meanwhile=config.async_checkpoints,
        )
        self._reader: BatchReader | None = None
        self.step = 0
        self._go_to_newest()

    def _go_to_newest(self) -> None:
        self.step = self._ranks.shared(latest_step(self._prepared.folder) or 0)
        self._guard = self._new_guard()
        if self._reader is not None:
            self._reader.close()
        config = self._config
        skips = self._ranks.shared(read_skips(self._prepared.folder))
        self.reader = self._reader = BatchReader(
            self._prepared.plan, self._streams, config.seed, workers=config.loader_workers, skips=skips
        )
        if self.step:
            self._restore()

    def _restore(self) -> None:
        folder, ranks = self._prepared.folder, self._ranks
        many = ranks if ranks.size > 1 else None
        state = restore(folder, self.step, self.trainee.gpt, self._optimizer, many)
        expected = {"sample": self._prepared.schedule.start(self.step)}
        if state.data != expected:
            raise CheckpointError(
                f"{folder}: the checkpoint of step {self.step} stands at {state.data}, the schedule at {expected}; "
                "delete it to go on from the one before"
            )
        self.reader.restore(state.data)
        self._guard = self._new_guard(state.guard)

    def _new_guard(self, history: Sequence[Sequence[float]] = ()) -> SpikeGuard:
        config = self._config
        return SpikeGuard(config.spike_deviations, config.spike_steps, history, trained=config.on_spike == "report")

    @property
    def tokens(self) -> int:
        """Inputs trained on so far."""
        return self._prepared.schedule.start(self.step) * self._prepared.plan.sequence_length

    @property
    def last_step(self) -> int:
        """The run's last step: the one asked for, or fewer where samples were left out and none remain."""
        return min(self._prepared.steps, self._prepared.schedule.whole_steps(len(self.reader)))

    def read(self) -> Batch:
        """The samples of this rank for the next step."""
        start, stop = self._prepared.schedule.sample_range(self.step)
        return self.reader.take(stop - start, self._ranks.rank, self._ranks.size)

    def advance(self, batch: Batch) -> Advance:
        """Train on the batch of the next step; where that is refused, the weights stay as they are."""
        config, ranks = self._config, self._ranks
        start, stop = self._prepared.schedule.sample_range(self.step)
        self.step, self._finding = self.step + 1, ""
        rate = learning_rate(config, self.tokens, self._prepared.total_tokens)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        result = train_step(
            self.trainee.model,
            self._optimizer,
            micro_batches_of(batch, stop - start, config.micro_batch, ranks, config.document_attention),
            gradient_clip=config.gradient_clip,
            precision=config.precision,
            seed=config.seed,
            step=self.step,
            ranks=ranks,
            tokens=(stop - start) * self._prepared.plan.sequence_length,
            judge=self._judge,
        )
        return Advance(result, rate, result.refused or self._finding, (start, stop))

    def _judge(self, loss: float, norm: float) -> str:
        self._finding = self._guard.judge(loss, norm)
        return "" if self._config.on_spike == "report" else self._finding

    def bad_step(self, advance: Advance, action: Action) -> BadStep:
        """What is to be known of a step with a finding; what its documents are is read from the shards' indexes."""
        samples, result = self.reader.locate(*advance.samples), advance.result
        documents, unknown = list[BatchDocument](), ""
        try:
            documents = batch_documents(self._prepared.root, self._prepared.plan, samples)
        except ShardError as error:
            unknown = str(error)
        return BadStep(
            step=self.step,
            finding=advance.finding,
            action=action,
            loss=finite_or_none(result.loss),
            gradient_norm=finite_or_none(result.gradient_norm),
            windows=self.reader.describe(samples),
            documents=documents,
            documents_unknown=unknown,
        )

    def roll_back(self, advance: Advance) -> None:
        """Go back to the last checkpoint, and leave the samples of a step out from now on."""
        self._saver.wait()
        if self._ranks.is_main:
            windows = self.reader.describe(self.reader.locate(*advance.samples))
            skips = [
                Skip(step=self.step, start=low, stop=high, reason=advance.finding, windows=windows)
                for low, high in self.reader.in_plan(*advance.samples)
            ]
            append_skips(self._prepared.folder, skips)
        self._ranks.everyone(None)
        self._optimizer.state.clear()
        self._go_to_newest()
        if not self.step:
            self.trainee.gpt.initialize(self._config.seed)

    def save(self, *, wait: bool) -> None:
        """Save a checkpoint.

        Args:
            wait: until it is on disk.

        Raises:
            OutputError: it, or the one before, cannot be written.
        """
        state = CheckpointState(
            step=self.step,
            tokens=self.tokens,
            plan_digest=self._prepared.description.plan_digest,
            data=self.reader.state(),
            seed=self._config.seed,
            guard=self._guard.state(),
        )
        self._saver.save(state, self.trainee.gpt, self._optimizer)
        if wait:
            self._saver.wait()

    def close(self) -> None:
        """End the threads that read and write."""
        self.reader.close()
        self._saver.close()
