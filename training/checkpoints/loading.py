"""Loading the model of a run: for evaluation, generation and fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from schemas.configs.model import ModelConfig
from schemas.errors import InputError, ManifestError
from schemas.library_errors import reason_of
from schemas.run import RunConfig, latest_step, require_run
from training.checkpoints.files import load_weights
from training.hardware import pick_device
from training.model.gpt import GPT

__all__ = ["TOKENIZER_NAME", "LoadedModel", "load_model", "load_tokenizer", "untrained_model"]

TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model in eval mode with what belongs to it; `step` is 0 for an untrained one."""

    model: GPT
    model_config: ModelConfig
    tokenizer: Tokenizer
    end_of_text: int
    step: int
    root: str
    mixture: str
    run: RunConfig


def load_tokenizer(run: str) -> Tokenizer:
    """The tokenizer that a run keeps.

    Raises:
        InputError: the run has none.
        ManifestError: it is damaged.
    """
    path = Path(run) / TOKENIZER_NAME
    if not path.is_file():
        raise InputError(f"{run} has no {TOKENIZER_NAME}; run `corpusmill train --run {run}` first")
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except BaseException as error:  # the library raises bare Exceptions for a damaged file, and panics
        raise ManifestError(f"{path} is no tokenizer: {reason_of(error)}; copy it from the corpus again") from error


def _loaded(run: str, config: RunConfig, model: GPT, step: int) -> LoadedModel:
    return LoadedModel(
        model=model.to(pick_device()).eval(),
        model_config=config.model,
        tokenizer=load_tokenizer(run),
        end_of_text=config.end_of_text,
        step=step,
        root=config.root,
        mixture=config.mixture,
        run=config,
    )


def load_model(run: str, step: int | None = None) -> LoadedModel:
    """The model of a run at one of its checkpoints, by default the newest.

    Raises:
        InputError: no run, no checkpoint, or no checkpoint of this step.
        CheckpointError: a file of the checkpoint is missing, damaged or does not fit.
    """
    config = require_run(run)
    chosen = latest_step(run) if step is None else step
    if chosen is None:
        raise InputError(f"{run} has no checkpoint yet; let `corpusmill train --run {run}` reach its first one")
    model = GPT(config.model, config.seed)
    load_weights(run, chosen, model)
    return _loaded(run, config, model, chosen)


def untrained_model(run: str) -> LoadedModel:
    """The model as the run began: the same config and seed, no training.

    Raises:
        InputError: there is no run in this folder.
    """
    config = require_run(run)
    return _loaded(run, config, GPT(config.model, config.seed), 0)
