"""The training loop: from the newest checkpoint, or from nothing, to the last step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from schemas.errors import DivergedError, StageError
from schemas.run import latest_step
from training.checkpoints.loading import load_tokenizer
from training.loop.bad_steps import BAD_STEPS_NAME, Action, append_bad_step
from training.loop.evaluations import Evaluations, require_whole_model
from training.loop.interruption import StopRequest, hold_run, stop_on_signals
from training.loop.learner import Advance, Learner
from training.loop.parallel import is_sharded
from training.loop.prepare import PreparedRun
from training.loop.profiling import looked_at, require_snapshots
from training.loop.progress import Progress
from training.loop.run_log import METRICS_NAME, SAMPLES_NAME, RunLog, finite_or_none, read_log
from training.loop.samples import write_samples
from training.loop.speed import SpeedMeter, peak_flops
from training.loop.validation import has_stopped_learning, validate
from training.loop.watchdog import Watchdog, watched
from training.planner.run_check import PlannedAndMeasured, RunCheck, begin_check
from training.process_group import Ranks, join_ranks

__all__ = ["TrainResult", "ValidationJudge", "train"]

# Told step and loss of each validation, says whether the run is to end there.
ValidationJudge = Callable[[int, float], bool]
# So many bad steps in a row are no accident of the data.
_BAD_IN_A_ROW = 10


@dataclass(frozen=True)
class TrainResult:
    """How a run ended; what follows the losses is of this process alone, waiting for data in seconds a step."""

    step: int
    tokens: int
    loss: float
    validation_loss: float | None
    seconds: float
    data_wait_p99: float = 0.0
    stopped_early: bool = False
    plan: PlannedAndMeasured | None = None


class _Run:
    """A run with its logs."""

    def __init__(self, prepared: PreparedRun, ranks: Ranks, dog: Watchdog, judge: ValidationJudge | None) -> None:
        self.judge, self.judged = judge, False
        self.prepared, self.config, self.ranks, self.dog = prepared, prepared.config, ranks, dog
        require_snapshots(self.config, ranks.device)
        self.check = self._begin_check()
        self.learner = Learner(prepared, ranks)
        self.tokenizer = load_tokenizer(prepared.folder)
        peak = 1e12 * self.config.peak_tflops if self.config.peak_tflops else None
        elapsed = max((row.get("elapsed_seconds", 0.0) for row in self._rows()), default=0.0)
        self.speed = SpeedMeter(
            prepared.description.model, ranks, peak or peak_flops(ranks.device, self.config.precision), elapsed
        )
        self.bad_in_a_row = 0
        self._open_logs()
        require_whole_model(self.config, is_sharded(self.config, prepared.description.model, ranks))
        self.evaluations = None
        if self.config.evaluate_every and ranks.is_main:
            self.evaluations = Evaluations(prepared, self.tokenizer, self.progress.say)

    def _begin_check(self) -> RunCheck | None:
        """Plan what this process is to take; where it is one of many, the estimate would be of another thing."""
        if self.ranks.size > 1:
            return None
        left = self.prepared.steps - (latest_step(self.prepared.folder) or 0)
        return begin_check(self.prepared.description.model, self.config, left, self.ranks.device)

    def _rows(self) -> list[dict[str, Any]]:
        return self.ranks.shared(read_log(self.prepared.folder, METRICS_NAME) if self.ranks.is_main else [])

    def _open_logs(self) -> None:
        """Have logs and counts stand where the learner does."""
        folder, step = self.prepared.folder, self.learner.step
        rows = [row for row in self._rows() if row["step"] <= step]
        self.speed.productive = sum(row["seconds"] for row in rows)
        self.validations = [row["validation_loss"] for row in rows if "validation_loss" in row]
        losses = [row["loss"] for row in rows if row["loss"] is not None]
        self.loss = losses[-1] if losses else math.nan
        self.metrics = RunLog(folder, METRICS_NAME, step) if self.ranks.is_main else None
        self.samples = RunLog(folder, SAMPLES_NAME, step) if self.ranks.is_main else None
        self.progress = Progress(step, self.learner.last_step, self.config.progress_seconds)

    @property
    def has_ended(self) -> bool:
        """Whether there is no further step."""
        return self.learner.step >= self.learner.last_step or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether validation says that it is enough."""
        return self.judged or has_stopped_learning(self.validations, self.config.patience)

    def advance(self) -> bool:
        """Train one step and log it; what comes of a bad one is in the settings.

        Returns:
            False where the run went back instead.

        Raises:
            DivergedError: the step is bad, and the run is to stop then; or too many were, one after another.
        """
        began = time.perf_counter()
        self.dog.sign(f"reading the data of step {self.learner.step + 1}", alone=True)
        batch = self.learner.read()
        self.speed.waited(time.perf_counter() - began)
        self.dog.sign(f"computing step {self.learner.step + 1}")
        with looked_at(self.config, self.prepared.folder, self.learner.step + 1, self.ranks):
            advance = self.learner.advance(batch)
        seconds = time.perf_counter() - began
        if advance.finding and self._bad(advance) == "rollback":
            return False
        if not advance.result.refused:
            self.bad_in_a_row = 0
        self._log(advance, seconds)
        return True

    def _bad(self, advance: Advance) -> Action:
        """Write a bad step down and act on it; gives what was done.

        Raises:
            DivergedError: the run is to stop then.
        """
        result, step = advance.result, self.learner.step
        action: Action = self.config.on_spike if result.is_finite else self.config.on_bad_step
        found = f"step {step}: loss {result.loss:.6g}, gradient norm {result.gradient_norm:.6g}"
        why = f" ({advance.finding})" if result.is_finite else ""
        kept = f"the weights of step {step - 1} were kept" if result.refused else "it was trained on"
        report = f"{found}{why}; {kept}"
        if self.ranks.is_main:
            self.dog.sign(f"naming the documents of step {step}")
            row = self.learner.bad_step(advance, action)
            append_bad_step(self.prepared.folder, row)
            report += f". The step's windows: {row.windows}; its documents are in {BAD_STEPS_NAME}"
        self.bad_in_a_row += bool(result.refused)
        if action == "stop":
            raise DivergedError(f"{report}. Lower learning_rate, or look at these documents")
        if self.bad_in_a_row >= _BAD_IN_A_ROW:
            raise DivergedError(f"{report}. {_BAD_IN_A_ROW} bad steps in a row are no accident: lower learning_rate")
        if self.ranks.is_main:
            self.progress.say(report)
        if action == "rollback":
            self.dog.sign(f"going back from step {step}")
            self.learner.roll_back(advance)
            if self.ranks.is_main:
                self.progress.say(f"back at step {self.learner.step}; these windows are left out from now on")
            self._open_logs()
        return action

    def _log(self, advance: Advance, seconds: float) -> None:
        result, step = advance.result, self.learner.step
        row: dict[str, Any] = {
            "step": step,
            "tokens": self.learner.tokens,
            "loss": finite_or_none(result.loss),
            "learning_rate": advance.learning_rate,
            "grad_norm": finite_or_none(result.gradient_norm),
            **self.speed.of_step(result.tokens, seconds),
        }
        if advance.finding:
            row["finding"] = advance.finding
        if not result.refused:
            self.loss = result.loss
        row |= self._validate_when_due()
        if self.evaluations is not None:
            row["evaluation_seconds"] = self.evaluations.spent_seconds()
        if self.metrics is not None:
            self.metrics.append(row)
            validation = self.validations[-1] if self.validations else None
            self.progress.step(step, result.loss, validation, advance.learning_rate, result.tokens)
        if self.check is not None:
            self.check.note(result.tokens, seconds)

    def is_due(self, every: int) -> bool:
        """Whether something is done after this step that is done every so often."""
        return self.has_ended or (every > 0 and self.learner.step % every == 0)

    def _validate_when_due(self) -> dict[str, Any]:
        if not self.is_due(self.config.validation_every):
            return {}
        self.dog.sign(f"validating after step {self.learner.step}")
        config = self.config
        found = validate(
            self.learner.trainee.gpt, self.learner.validation, config.validation_windows, config.precision, self.ranks
        )
        if found is None:
            return {}
        self.validations.append(found.loss)
        self.judged = self.judge is not None and self.judge(self.learner.step, found.loss)
        return {"validation_loss": found.loss, "validation_loss_by_source": found.by_source}

    def evaluate_when_due(self, step_seconds: float) -> None:
        """Begin to score the suite at the steps that are to have scores, and go on with what was begun before."""
        if self.evaluations is None:
            return
        self.dog.sign(f"evaluating after step {self.learner.step}")
        self.evaluations.go_on(step_seconds)
        if self.has_ended:
            self.evaluations.finish()
        if self.is_due(self.config.evaluate_every):
            self.evaluations.begin(self.learner.trainee.gpt, self.learner.step)
        if self.has_ended:
            self.evaluations.finish()

    def sample_when_due(self) -> None:
        """Write sample texts at the steps that are to have them."""
        config, model = self.config, self.learner.trainee.gpt
        sharded = is_sharded(config, self.prepared.description.model, self.ranks)
        if not self.is_due(config.sample_every) or not (self.ranks.is_main or sharded):
            return
        self.dog.sign(f"writing samples after step {self.learner.step}")
        end_of_text, step = self.prepared.plan.end_of_text, self.learner.step
        for row in write_samples(
            model, self.tokenizer, end_of_text, config.sample_prompts, config.sample_tokens, config.seed, step
        ):
            if self.samples is not None:
                self.samples.append(row)

    def save_when_due(self, now: bool) -> None:
        """Save a checkpoint at the steps that are to have one, and whenever `now`."""
        if now or self.is_due(self.config.checkpoint_every):
            self.dog.sign(f"saving step {self.learner.step}")
            self.learner.save(wait=now or self.has_ended)


def _train(run: _Run, stop: StopRequest) -> TrainResult:
    began = time.perf_counter()
    while not run.has_ended:
        step_began = time.perf_counter()
        if not run.advance():
            continue
        run.evaluate_when_due(time.perf_counter() - step_began)
        run.sample_when_due()
        (asked,) = run.ranks.sums(float(stop.signal_name is not None))
        run.save_when_due(now=asked > 0)
        if asked and not run.has_ended:
            raise StageError(
                f"stopped by {stop.signal_name or 'a signal'} at step {run.learner.step} of {run.prepared.steps}, a "
                "checkpoint is saved; run the same command again to go on"
            )
    last = run.validations[-1] if run.validations else None
    seconds = round(time.perf_counter() - began, 3)
    plan = None if run.check is None else run.check.finish(run.prepared.folder)
    waited, stopped = run.speed.wait_p99(), run.stopped_early
    return TrainResult(run.learner.step, run.learner.tokens, run.loss, last, seconds, waited, stopped, plan)


def train(prepared: PreparedRun, judge: ValidationJudge | None = None) -> TrainResult:
    """Train a prepared run to its end; after a kill at any moment, the same call goes on and ends the same.

    Args:
        prepared: the run.
        judge: ends the run early; of one process alone.

    Raises:
        StageError: stopped by SIGTERM or SIGINT, after saving a checkpoint.
        DivergedError: a step was bad.
        LeaseError: another process trains in this folder.
        ShardError: a token shard is missing, damaged or another than the plan pins.
        CheckpointError: the newest checkpoint is damaged.
        OutputError: the run's folder cannot be written.
        ConfigError: the device is not there.
    """
    config = prepared.config
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with join_ranks(config.device, config.hang_seconds) as ranks:
        name = f"rank {ranks.rank} of {ranks.size}" if ranks.size > 1 else "training"
        with (
            hold_run(prepared.folder) if ranks.is_main else nullcontext(),
            stop_on_signals(config.grace_seconds, ranks.rank, ranks.size) as stop,
            watched(name, config.hang_seconds) as dog,
        ):
            run = _Run(prepared, ranks, dog, judge)
            with closing(run.learner):
                return _train(run, stop)
