"""A suite is scored while training goes on: on a copy of the weights, in slices between steps, within a share of time.

A slice is one forward pass. Each step earns the slices after it some time, so that up to the last step training stands
still for the set share of its time at most, and one slice more. Scores are those of the weights at the step that they
are named after, whatever was trained since.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tokenizers import Tokenizer

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError
from training.checkpoints import LoadedModel
from training.evaluation.evaluate import evaluation, read_tasks, suite_of
from training.evaluation.results import EvaluationResult
from training.evaluation.steps import Steps
from training.loop.prepare import PreparedRun
from training.model.gpt import GPT

__all__ = ["Evaluations", "require_whole_model"]


def require_whole_model(config: TrainConfig, sharded: bool) -> None:
    """Check that there is a model to copy.

    Raises:
        ConfigError: each rank has a part of it only.
    """
    if config.evaluate_every and sharded:
        raise ConfigError(
            "evaluate_every needs the whole model on one rank, and here it is in shards; set evaluate_every=0 and "
            "evaluate checkpoints, or set parallel='ddp'"
        )


class Evaluations:
    """The evaluations of one run, of which one at most is under way."""

    def __init__(self, prepared: PreparedRun, tokenizer: Tokenizer, say: Callable[[str], None]) -> None:
        """Read the suite and all its rows, so that a mistake in them shows before the first step.

        Raises:
            InputError: a file of the suite cannot be read, or a row does not fit.
            ConfigError: the suite is malformed.
        """
        config = prepared.config
        self._prepared, self._tokenizer, self._say = prepared, tokenizer, say
        self._config = EvaluateConfig(
            data=config.evaluate_data, limit=config.evaluate_limit, untrained=False, bigram=False
        )
        self._suite = suite_of(config.evaluate_suite, self._config)
        self._tasks = read_tasks(self._suite, self._config)
        # Of the time until the next slice, so that share : 1 - share is what evaluating is to training.
        self._earned_per_second = config.evaluate_share / (1 - config.evaluate_share)
        self._work: Steps[EvaluationResult] | None = None
        self._step = 0
        self._budget = self._slice_seconds = self._spent = 0.0

    def begin(self, model: GPT, step: int) -> None:
        """Take a copy of the weights to score; left out where the last evaluation is not done yet."""
        if self._work is not None:
            self._say(
                f"step {step} is not evaluated, as step {self._step} is not done; raise evaluate_share or "
                "evaluate_every, or lower evaluate_limit"
            )
            return
        copy = GPT(model.config, device="meta")
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        copy.load_state_dict(weights, assign=True)
        prepared = self._prepared
        loaded = LoadedModel(
            model=copy.eval(),
            model_config=model.config,
            tokenizer=self._tokenizer,
            end_of_text=prepared.plan.end_of_text,
            step=step,
            root=prepared.description.root,
            mixture=prepared.description.mixture,
            run=prepared.description,
        )
        config = self._config.model_copy(update={"step": step})
        self._work = evaluation(loaded, None, prepared.folder, self._suite, self._tasks, config, self._say)
        self._step = step

    def go_on(self, trained_seconds: float) -> None:
        """Evaluate for as long as `trained_seconds` of training have earned."""
        if self._work is None:
            return
        self._budget += trained_seconds * self._earned_per_second
        while self._work is not None and self._budget > self._slice_seconds:
            self._slice()

    def finish(self) -> None:
        """Evaluate all that is left."""
        while self._work is not None:
            self._slice()

    def spent_seconds(self) -> float:
        """Seconds of evaluation since this was asked last."""
        spent, self._spent = self._spent, 0.0
        return round(spent, 4)

    def _slice(self) -> None:
        if self._work is None:
            return
        began = time.perf_counter()
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        self._slice_seconds = time.perf_counter() - began
        self._budget -= self._slice_seconds
        self._spent += self._slice_seconds
        if self._work is None:
            self._budget = min(self._budget, 0.0)
