"""A study: trials one after another, each chosen by what those before it have shown.

Everything is in `<out>`: Optuna's journal, the trials' runs, and a row of each trial. What is chosen next depends on
the settings and the trials before it alone; so a study that was killed goes on, with the trial that was under way at
its last checkpoint, and ends as one that was not.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import optuna
import torch
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from schemas.configs.train import TrainConfig
from schemas.configs.tune import TuneConfig
from schemas.errors import DivergedError, StageError
from schemas.mixture import MixturePlan
from training.loop.prepare import prepare_run
from training.loop.run_log import METRICS_NAME, read_log
from training.loop.train import train
from training.tuning.results import StudyRows, best_of, write_best, write_rows
from training.tuning.trials import REASON, folder_name, row_of, suggest, trial_config, values_of

__all__ = ["StudyRun"]

JOURNAL_NAME = "study.journal"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# A trial that ended the process so often, by taking all memory for instance, is not begun again.
_BEGUN, _MOST_BEGUN = "begun", 3


def _whole_lines(path: Path) -> None:
    """Take off a last line that a killed process left half-written, and the lock that it held."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.is_file():
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"\n") + 1])


def _pruner(tune: TuneConfig) -> BasePruner:
    if tune.pruner == "none":
        return NopPruner()
    if tune.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=max(1, tune.checks // 4), reduction_factor=2)
    # The first quarter is warm-up, in which a low learning rate always looks well.
    return MedianPruner(n_startup_trials=tune.never_pruned, n_warmup_steps=tune.checks // 4 + 1)


def _open_study(out: Path, tune: TuneConfig) -> Study:
    path = out / JOURNAL_NAME
    _whole_lines(path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(
        storage=storage, study_name="tune", direction="minimize", pruner=_pruner(tune), load_if_exists=True
    )


class StudyRun:
    """A study that goes on in `out`, which this process holds.

    Args:
        out: its folder.
        root: the corpus.
        plan: a mixture in it.
        tune: what is tried.
        base: settings of every trial that are not tried.
    """

    def __init__(self, out: str, root: str, plan: MixturePlan, tune: TuneConfig, base: TrainConfig) -> None:
        self._out, self._root, self._plan = Path(out), root, plan
        self._tune, self._base = tune, base
        self._study = _open_study(self._out, tune)

    def run(self) -> StudyRows:
        """Do the trials that are left; gives the rows of all.

        Raises:
            StageError: stopped by a signal, or no trial came to its end.
        """
        while (trial := self._next()) is not None:
            self._do(trial)
            self._write(trial)
        rows = self._rows()
        if best_of(rows.rows) is None:
            why = next((row.reason for row in rows.rows if row.reason), "none was begun")
            raise StageError(f"no trial of {len(rows.rows)} came to its end: {why}; lower tune.learning_rates")
        return rows

    def _next(self) -> Trial | None:
        """The trial that was under way, else a new one; None where all are done."""
        known = self._study.get_trials(deepcopy=False)
        running = [one for one in known if one.state not in _ENDED]
        if not running and len(known) >= self._tune.trials:
            return None
        trial = Trial(self._study, running[0]._trial_id) if running else self._study.ask()
        suggest(trial, self._tune)
        return trial

    def _do(self, trial: Trial) -> None:
        values = values_of(trial)
        begun = trial.user_attrs.get(_BEGUN, 0) + 1
        trial.set_user_attr(_BEGUN, begun)
        same = self._same(trial)
        if same is not None:
            self._take_over(trial, same)
        elif begun > _MOST_BEGUN:
            self._end(trial, TrialState.FAIL, f"the process ended {begun - 1} times while it trained")
        else:
            _say(f"trial {trial.number + 1}/{self._tune.trials}: {_shown(values)}")
            self._train(trial)

    def _same(self, trial: Trial) -> FrozenTrial | None:
        """An earlier trial of equal values that has ended."""
        ended = self._study.get_trials(deepcopy=False, states=_ENDED)
        return next((one for one in ended if one.params == trial.params), None)

    def _take_over(self, trial: Trial, other: FrozenTrial) -> None:
        for check, loss in other.intermediate_values.items():
            trial.report(loss, check)
        self._end(trial, other.state, f"as trial {other.number + 1}", other.value)

    def _end(self, trial: Trial, state: TrialState, reason: str, value: float | None = None) -> None:
        trial.set_user_attr(REASON, reason)
        self._study.tell(trial.number, value if state is TrialState.COMPLETE else None, state)
        if reason:
            _say(f"trial {trial.number + 1}: {reason}")

    def _train(self, trial: Trial) -> None:
        config = trial_config(self._base, self._tune, values_of(trial))
        run = str(self._folder(trial.params))
        prepared = prepare_run(config, self._root, self._plan.name, run)
        told = _Told(trial, config.validation_every)
        for row in read_log(run, METRICS_NAME):
            if "validation_loss" in row:
                told.note(row["step"], row["validation_loss"])
        try:
            result = None if told.enough else train(prepared, told.note)
        except DivergedError as error:
            self._end(trial, TrialState.PRUNED, str(error).partition(". ")[0])
            return
        except torch.OutOfMemoryError:
            self._end(trial, TrialState.FAIL, "the device has not memory enough for it; lower train.micro_batch")
            return
        if told.enough:
            check = max(told.losses)
            self._end(trial, TrialState.PRUNED, f"ended after check {check} of {self._tune.checks}, others were better")
            return
        assert result is not None
        _say(f"trial {trial.number + 1}: loss {result.validation_loss:.4f}")
        self._end(trial, TrialState.COMPLETE, "", result.validation_loss)

    def _folder(self, values: Mapping[str, object]) -> Path:
        return self._out / "trials" / folder_name(values)

    def _rows(self) -> StudyRows:
        trials = self._study.get_trials(deepcopy=False)
        rows = [row_of(one, self._base, self._tune, self._plan.vocabulary_size) for one in trials]
        return StudyRows(mixture=self._plan.name, tokens=self._tune.tokens, planned=self._tune.trials, rows=rows)

    def _write(self, trial: Trial) -> None:
        """Write the rows and the best settings anew, and let go of the weights of those that are not best."""
        rows = self._rows()
        write_rows(str(self._out), rows)
        best = best_of(rows.rows)
        kept = None if best is None else self._folder(best.values)
        if best is not None:
            write_best(str(self._out), self._base, trial_config(self._base, self._tune, best.values), best)
        for one in rows.rows:
            folder = self._folder(one.values)
            if folder != kept:
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)


class _Told:
    """Validation losses of a trial, told to the study once each; `enough` once the study has seen enough of it."""

    def __init__(self, trial: Trial, every: int) -> None:
        self._trial, self._every = trial, every
        known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        self.losses: dict[int, float] = dict(known)
        self.enough = bool(known) and trial.should_prune()

    def note(self, step: int, loss: float) -> bool:
        """Take in a loss; gives whether the trial is to end here."""
        check = step // self._every
        if check not in self.losses:
            self.losses[check] = loss
            self._trial.report(loss, check)
            self.enough = self._trial.should_prune()
        return self.enough


def _shown(values: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.2e}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def _say(text: str) -> None:
    sys.stderr.write(f"corpusmill: {text}\n")
    sys.stderr.flush()
