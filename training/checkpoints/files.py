"""Checkpoints: all of a run's state at one step, in one folder that appears whole or not at all.

    <run>/checkpoints/step-000300/model.safetensors       float32 weights
                                  optimizer.safetensors   `<parameter>/<state>`
                                  state.json              step, tokens, data position, checksums of the files above

A folder is written under a temporary name, every file synced, then renamed; a run killed while saving keeps the last
one. There is no state of a random generator to keep: all randomness is a function of (seed, step).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas.errors import CheckpointError, InputError, OutputError
from schemas.run import checkpoint_folder, checkpoint_steps

__all__ = ["CheckpointState", "load_weights", "restore", "save"]

CHECKPOINT_VERSION = 1
_WEIGHTS, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


class CheckpointState(BaseModel):
    """What a checkpoint holds beside tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = CHECKPOINT_VERSION
    step: int = Field(ge=0)
    tokens: int = Field(ge=0, description="inputs trained on so far")
    plan_digest: str
    data: dict[str, int] = Field(description="the data stream's own state")
    seed: int = Field(description="with the step, decides all randomness from here on")
    files: dict[str, str] = Field(default_factory=dict, description="BLAKE2b-256 of each file")


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def save(
    run: str, state: CheckpointState, model: nn.Module, optimizer: torch.optim.Optimizer | None = None, keep: int = 2
) -> Path:
    """Write the checkpoint of `state.step`, then remove all but the newest `keep`.

    Returns:
        The checkpoint's folder.

    Raises:
        OutputError: it cannot be written.
    """
    final = checkpoint_folder(run, state.step)
    temporary = final.parent / f".{final.name}.{os.getpid()}.tmp"
    tensors = {_WEIGHTS: model.state_dict()}
    if optimizer is not None:
        tensors[_OPTIMIZER] = _optimizer_tensors(model, optimizer)
    try:
        _remove_leftovers(final.parent)
        temporary.mkdir(parents=True)
        for name, content in tensors.items():
            save_file({key: value.detach().cpu().contiguous() for key, value in content.items()}, temporary / name)
            _sync(temporary / name)
        checksums = {name: _checksum(temporary / name) for name in tensors}
        complete = state.model_copy(update={"files": checksums})
        (temporary / _STATE).write_text(complete.model_dump_json(indent=1), encoding="utf-8")
        for path in (temporary / _STATE, temporary):
            _sync(path)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        _sync(final.parent)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write checkpoint {final}: {error}; free some space and run again") from error
    for step in checkpoint_steps(run)[:-keep]:
        shutil.rmtree(checkpoint_folder(run, step))
    return final


def _remove_leftovers(folder: Path) -> None:
    for leftover in folder.glob(".step-*.tmp"):
        shutil.rmtree(leftover)


def _read_state(folder: Path) -> CheckpointState:
    path = folder / _STATE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("schema_version") != CHECKPOINT_VERSION:
            version = content.get("schema_version")
            raise CheckpointError(f"{path} has version {version}, this program reads {CHECKPOINT_VERSION}")
        return CheckpointState.model_validate(content)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}); delete {folder} to go on from the one before"
        ) from error


def _read_tensors(folder: Path, name: str, checksum: str | None) -> dict[str, Tensor]:
    path = folder / name
    advice = f"delete {folder} to go on from the one before"
    if checksum is None or not path.is_file():
        raise CheckpointError(f"{path} is missing; {advice}")
    if _checksum(path) != checksum:
        raise CheckpointError(f"{path} is damaged: its bytes do not give the checksum in {_STATE}; {advice}")
    return load_file(path)


def load_weights(run: str, step: int, model: nn.Module) -> CheckpointState:
    """Read the weights of a checkpoint into `model`, after verifying them.

    Raises:
        InputError: the run has no checkpoint of this step.
        CheckpointError: a file is missing, damaged or does not fit the model.
    """
    folder = checkpoint_folder(run, step)
    if not folder.is_dir():
        there = ", ".join(map(str, checkpoint_steps(run))) or "none"
        raise InputError(f"{run} has no checkpoint of step {step} (there: {there}); choose one of those")
    state = _read_state(folder)
    weights = _read_tensors(folder, _WEIGHTS, state.files.get(_WEIGHTS))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{folder / _WEIGHTS} does not fit the model: {error}") from error
    return state


def restore(run: str, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> CheckpointState:
    """Read weights and optimizer state of a checkpoint, after verifying them.

    Raises:
        InputError: the run has no checkpoint of this step.
        CheckpointError: a file is missing, damaged or does not fit the model.
    """
    state = load_weights(run, step, model)
    folder = checkpoint_folder(run, step)
    tensors = _read_tensors(folder, _OPTIMIZER, state.files.get(_OPTIMIZER))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    ordered = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, part = key.rpartition("/")
        by_parameter.setdefault(name, {})[part] = value
    if by_parameter and set(by_parameter) != set(ordered):
        raise CheckpointError(f"{folder / _OPTIMIZER} does not fit the model: it is of other parameters")
    content = optimizer.state_dict()
    content["state"] = {index: by_parameter[name] for index, name in enumerate(ordered) if name in by_parameter}
    optimizer.load_state_dict(content)
    return state
