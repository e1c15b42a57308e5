"""The training loop: from the newest checkpoint, or from nothing, to the last step."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from schemas.errors import CheckpointError, DivergedError, StageError
from schemas.run import latest_step
from training.checkpoints.files import CheckpointState, restore, save
from training.checkpoints.loading import load_tokenizer
from training.data.batches import Batch, BatchReader
from training.data.block_cache import BlockCache
from training.data.shards import open_streams
from training.hardware import pick_device
from training.loop.interruption import StopRequest, hold_run, stop_on_signals
from training.loop.optimizer import build_optimizer
from training.loop.prepare import PreparedRun
from training.loop.progress import Progress
from training.loop.run_log import METRICS_NAME, SAMPLES_NAME, RunLog
from training.loop.samples import write_samples
from training.loop.schedule import learning_rate
from training.loop.step import StepResult, train_step
from training.loop.validation import ValidationLoss, validate
from training.model.gpt import GPT

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True)
class TrainResult:
    """How a run ended; `seconds` is of this process alone."""

    step: int
    tokens: int
    loss: float
    validation_loss: float | None
    seconds: float


class _Run:
    """A run in memory: model, optimizer, data and logs, all standing at `step`."""

    def __init__(self, prepared: PreparedRun) -> None:
        self.prepared, self.config = prepared, prepared.config
        self.device = pick_device()
        plan, seed = prepared.plan, prepared.config.seed
        self.model = GPT(prepared.description.model, seed).to(self.device).train()
        self.optimizer = build_optimizer(self.model, self.config)
        cache = BlockCache(self.config.cache_folder, self.config.cache_bytes)
        streams = open_streams(prepared.root, plan, "train", self.config.verify_shards, cache)
        self.reader = BatchReader(plan, streams, seed, workers=self.config.loader_workers)
        self.validation = open_streams(prepared.root, plan, "validation", self.config.verify_shards, cache)
        self.tokenizer = load_tokenizer(prepared.folder)
        self.validation_loss: float | None = None
        self.step = latest_step(prepared.folder) or 0
        if self.step:
            self._restore()
        self.metrics = RunLog(prepared.folder, METRICS_NAME, self.step)
        self.samples = RunLog(prepared.folder, SAMPLES_NAME, self.step)
        self.progress = Progress(self.step, prepared.steps, self.config.progress_seconds)

    def _restore(self) -> None:
        folder = self.prepared.folder
        state = restore(folder, self.step, self.model, self.optimizer)
        expected = {"sample": self.prepared.schedule.start(self.step)}
        if state.data != expected:
            raise CheckpointError(
                f"{folder}: the checkpoint of step {self.step} stands at {state.data}, the schedule at {expected}; "
                "delete it to go on from the one before"
            )
        self.reader.restore(state.data)

    @property
    def tokens(self) -> int:
        """Inputs trained on so far."""
        return self.prepared.schedule.start(self.step) * self.prepared.plan.sequence_length

    def _micro_batches(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        inputs, labels = (torch.from_numpy(part).to(self.device) for part in (batch.inputs, batch.labels))
        size = self.config.micro_batch or len(inputs)
        return list(zip(torch.split(inputs, size), torch.split(labels, size), strict=True))

    def advance(self) -> StepResult:
        """Train one step and log it.

        Raises:
            DivergedError: loss or gradient is not finite; the weights stay as they were.
        """
        began = time.perf_counter()
        start, stop = self.prepared.schedule.sample_range(self.step)
        batch = self.reader.take(stop - start)
        self.step += 1
        rate = learning_rate(self.config, self.tokens, self.prepared.total_tokens)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        result = train_step(
            self.model,
            self.optimizer,
            self._micro_batches(batch),
            gradient_clip=self.config.gradient_clip,
            precision=self.config.precision,
            seed=self.config.seed,
            step=self.step,
        )
        if not result.is_finite:
            raise DivergedError(
                f"step {self.step}: loss {result.loss}, gradient norm {result.gradient_norm}; the weights of step "
                f"{self.step - 1} were kept. The step's windows: {self.reader.describe(batch.samples)}. "
                "Lower learning_rate, or look at these documents"
            )
        seconds = time.perf_counter() - began
        row: dict[str, Any] = {
            "step": self.step,
            "tokens": self.tokens,
            "loss": result.loss,
            "learning_rate": rate,
            "seconds": round(seconds, 6),
            "grad_norm": result.gradient_norm,
            "tokens_per_second": round(result.tokens / seconds, 1),
        }
        validation = self._validate_when_due()
        if validation is not None:
            self.validation_loss = validation.loss
            row |= {"validation_loss": validation.loss, "validation_loss_by_source": validation.by_source}
        self.progress.step(self.step, result.loss, self.validation_loss, rate, result.tokens)
        self.metrics.append(row)
        return result

    def _is_due(self, every: int) -> bool:
        return self.step == self.prepared.steps or (every > 0 and self.step % every == 0)

    def _validate_when_due(self) -> ValidationLoss | None:
        if not self._is_due(self.config.validation_every):
            return None
        return validate(self.model, self.validation, self.config.validation_windows, self.config.precision)

    def sample_when_due(self) -> None:
        """Write sample texts at the steps that are to have them."""
        if not self._is_due(self.config.sample_every):
            return
        config, end_of_text = self.config, self.prepared.plan.end_of_text
        for row in write_samples(
            self.model, self.tokenizer, end_of_text, config.sample_prompts, config.sample_tokens, config.seed, self.step
        ):
            self.samples.append(row)

    def save_when_due(self, now: bool) -> None:
        """Save a checkpoint at the steps that are to have one, and whenever `now`."""
        if not (now or self._is_due(self.config.checkpoint_every)):
            return
        state = CheckpointState(
            step=self.step,
            tokens=self.tokens,
            plan_digest=self.prepared.description.plan_digest,
            data=self.reader.state(),
            seed=self.config.seed,
        )
        save(self.prepared.folder, state, self.model, self.optimizer, self.config.keep_checkpoints)


def _train(run: _Run, stop: StopRequest) -> TrainResult:
    began = time.perf_counter()
    result = StepResult(float("nan"), 0, 0.0)
    while run.step < run.prepared.steps:
        result = run.advance()
        run.sample_when_due()
        run.save_when_due(now=stop.signal_name is not None)
        if stop.signal_name is not None and run.step < run.prepared.steps:
            raise StageError(
                f"stopped by {stop.signal_name} at step {run.step} of {run.prepared.steps}, a checkpoint is saved; "
                "run the same command again to go on"
            )
    return TrainResult(run.step, run.tokens, result.loss, run.validation_loss, round(time.perf_counter() - began, 3))


def train(prepared: PreparedRun) -> TrainResult:
    """Train a prepared run to its end; after a kill at any moment, the same call goes on and ends the same.

    Raises:
        StageError: stopped by SIGTERM or SIGINT, after saving a checkpoint.
        DivergedError: the loss is not finite.
        LeaseError: another process trains in this folder.
        ShardError: a token shard is missing, damaged or another than the plan pins.
        CheckpointError: the newest checkpoint is damaged.
        OutputError: the run's folder cannot be written.
    """
    if prepared.config.threads is not None:
        torch.set_num_threads(prepared.config.threads)
    with hold_run(prepared.folder), stop_on_signals() as stop:
        run = _Run(prepared)
        with closing(run.reader):
            return _train(run, stop)
