"""One trial of a study: what it trains, where, and the row that is kept of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.configs.tune import TuneConfig
from schemas.errors import ConfigError
from schemas.mixture import MixturePlan
from training.seeds import derived_seed
from training.tuning.results import TrialRow

__all__ = ["REASON", "check_space", "folder_name", "row_of", "suggest", "trial_config", "values_of"]

_AT_RANDOM = 5  # first trials
REASON = "reason"  # user attribute: why a trial ended early
_STATES: dict[TrialState, Literal["complete", "pruned", "failed", "running"]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def suggest(trial: Trial, tune: TuneConfig) -> None:
    """Have values chosen for a trial; one that was begun before keeps what it has.

    By tree-structured Parzen estimators (Bergstra et al. 2011, section 4), after some trials at random.
    """
    choices = {"batch": tune.batches, "layers": tune.layers, "width": tune.widths}
    for number, name in enumerate(("learning_rate", *(name for name, values in choices.items() if values))):
        # A generator for each value: what it draws does not depend on what the process drew before.
        seed = derived_seed("tune", tune.seed, trial.number, number) % 2**32
        trial.study.sampler = TPESampler(seed=seed, n_startup_trials=_AT_RANDOM)
        if name == "learning_rate":
            trial.suggest_float(name, *tune.learning_rates, log=True)
        else:
            trial.suggest_categorical(name, choices[name])


def check_space(tune: TuneConfig, base: TrainConfig, plan: MixturePlan) -> None:
    """Check that whatever may be tried can be trained.

    Raises:
        ConfigError: it cannot.
    """
    if base.model.context != plan.sequence_length:
        raise ConfigError(
            f"train.model.context is {base.model.context}, and mixture {plan.name} is cut in windows of "
            f"{plan.sequence_length} tokens; set model.context={plan.sequence_length} for train"
        )
    if tune.tokens > plan.samples * plan.sequence_length:
        raise ConfigError(
            f"tune.tokens is {tune.tokens}, and mixture {plan.name} has {plan.samples * plan.sequence_length}; lower "
            "tokens, or mix with more samples"
        )
    if not any(stream.windows(plan.sequence_length) for stream in plan.validation):
        raise ConfigError(
            f"mixture {plan.name} has no validation window, and trials are compared by their validation loss; "
            "tokenize with a larger share of validation"
        )
    for batch, layers, width in product(tune.batches or [None], tune.layers or [None], tune.widths or [None]):
        values = {"batch": batch, "layers": layers, "width": width}
        known = {name: value for name, value in values.items() if value is not None}
        trial_config(base, tune, {"learning_rate": tune.learning_rates[0], **known})


def values_of(trial: Trial | FrozenTrial) -> dict[str, Any]:
    """What a trial tries."""
    return dict(trial.params)


def trial_config(base: TrainConfig, tune: TuneConfig, values: dict[str, Any]) -> TrainConfig:
    """Settings of the training of one trial.

    Raises:
        ConfigError: the values make no model or leave no step.
    """
    width = int(values.get("width", base.model.width))
    if width % base.model.head_width:
        raise ConfigError(
            f"tune.widths has {width}, which is not a multiple of the head width {base.model.head_width}; "
            "change it, or train.model.heads"
        )
    layers = int(values.get("layers", base.model.layers))
    model = base.model.model_copy(update={"width": width, "layers": layers, "heads": width // base.model.head_width})
    batch = int(values.get("batch", base.batch))
    steps = tune.tokens // (batch * model.context)
    if steps < tune.checks:
        raise ConfigError(
            f"tune.tokens is {tune.tokens}: {steps} steps of {batch} x {model.context} tokens, and tune.checks is "
            f"{tune.checks}; raise tokens or lower checks"
        )
    every = steps // tune.checks
    return base.model_copy(
        update={
            "preset": None,
            "model": model,
            "batch": batch,
            "micro_batch": None if base.micro_batch is None else min(base.micro_batch, batch),
            "learning_rate": float(values["learning_rate"]),
            "steps": every * tune.checks,
            "warmup_tokens": int(tune.warmup_share * every * tune.checks * batch * model.context),
            "decay_tokens": None,
            "ramp_tokens": 0,
            "validation_every": every,
            "checkpoint_every": every,
            "keep_checkpoints": 1,
            "keep_every": 0,
            "sample_every": 0,
            "sample_tokens": 1,
            "patience": 0,
            "check_plan": False,
        }
    )


def row_of(trial: FrozenTrial, base: TrainConfig, tune: TuneConfig, vocabulary: int) -> TrialRow:
    """The row of a trial that has its values."""
    values = values_of(trial)
    shape = trial_config(base, tune, values).model
    losses = {int(check): float(loss) for check, loss in sorted(trial.intermediate_values.items())}
    return TrialRow(
        number=trial.number,
        state=_STATES.get(trial.state, "running"),
        values=values,
        parameters=ModelConfig(vocabulary_size=vocabulary, **shape.model_dump()).num_parameters(),
        losses=losses,
        loss=trial.value if trial.state is TrialState.COMPLETE else losses.get(max(losses, default=0)),
        reason=trial.user_attrs.get(REASON, ""),
    )


def folder_name(values: Mapping[str, object]) -> str:
    """Name of a trial's run: equal for equal values, so that a trial that was killed goes on in it."""
    return hashlib.blake2b(json.dumps(dict(values), sort_keys=True).encode("utf-8"), digest_size=6).hexdigest()
