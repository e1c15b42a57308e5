"""Checkpoints: all of a run's state at one step, in one folder that appears whole or not at all.

    <run>/checkpoints/step-000300/model/…safetensors       float32 weights, one file a rank
                                  optimizer/…safetensors   `<parameter>/<state>`
                                  state.json               step, tokens, data position, checksums of the files above

A folder is written under a temporary name, every file synced and read again for its checksum, then renamed; a run
killed while saving keeps the last one. There is no state of a random generator to keep: all randomness is a function of
(seed, step, row).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from schemas.errors import CheckpointError, InputError
from schemas.foreign_text import parse_json
from schemas.run import checkpoint_folder, checkpoint_steps
from training.checkpoints.shards import read_tensors, stored_shapes
from training.process_group import Ranks

__all__ = [
    "MODEL_FOLDER",
    "OPTIMIZER_FOLDER",
    "STATE_NAME",
    "CheckpointState",
    "checksum",
    "load_weights",
    "optimizer_tensors",
    "read_state",
    "restore",
]

CHECKPOINT_VERSION = 2
MODEL_FOLDER, OPTIMIZER_FOLDER, STATE_NAME = "model", "optimizer", "state.json"


class CheckpointState(BaseModel):
    """What a checkpoint holds beside tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = CHECKPOINT_VERSION
    step: int = Field(ge=0)
    tokens: int = Field(ge=0, description="inputs trained on so far")
    plan_digest: str
    data: dict[str, int] = Field(description="the data stream's own state")
    seed: int = Field(description="with the step, decides all randomness from here on")
    guard: list[list[float]] = Field(
        default_factory=list, description="loss and gradient norm of the good steps that later ones are measured by"
    )
    files: dict[str, str] = Field(default_factory=dict, description="BLAKE2b-256 of each file")


def checksum(path: Path) -> str:
    """BLAKE2b-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state by `<parameter>/<state>`; numbers have one element, since shards have no place for none."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value if value.ndim else value.view(1)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def read_state(folder: Path) -> CheckpointState:
    """What the checkpoint in a folder says of itself.

    Raises:
        CheckpointError: it is damaged, or of a version that this code does not read.
    """
    path = folder / STATE_NAME
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        if content.get("schema_version") != CHECKPOINT_VERSION:
            version = content.get("schema_version")
            raise CheckpointError(
                f"{path} has version {version}, this program reads {CHECKPOINT_VERSION}; train the run anew"
            )
        return CheckpointState.model_validate(content)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}); delete {folder} to go on from the one before"
        ) from error


def _fault(folder: Path, name: str, expected: str) -> str:
    """What is wrong with a file; empty where nothing is."""
    path = folder / name
    if not path.is_file():
        return f"{path} is missing"
    if checksum(path) != expected:
        return f"{path} is damaged: its bytes do not give the checksum in {STATE_NAME}"
    return ""


def _verify(folder: Path, state: CheckpointState, part: str, ranks: Ranks | None) -> None:
    """Compare checksums, each file by one of the ranks."""
    files = sorted((name, expected) for name, expected in state.files.items() if name.startswith(f"{part}/"))
    mine = ranks.mine(files) if ranks else files
    faults = [fault for name, expected in mine if (fault := _fault(folder, name, expected))]
    if ranks:
        faults = [fault for some in ranks.everyone(faults) for fault in some]
    if not files:
        faults.append(f"{folder / part} is missing")
    if faults:
        raise CheckpointError(f"{faults[0]}; delete {folder} to go on from the one before")


def _require_fit(folder: Path, part: str, wanted: dict[str, Tensor]) -> None:
    there = stored_shapes(folder / part)
    expected = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    if there != expected:
        names = sorted(name for name in there.keys() | expected.keys() if there.get(name) != expected.get(name))
        raise CheckpointError(
            f"{folder / part} does not fit the model: {names[0]} has shape {there.get(names[0])} there and "
            f"{expected.get(names[0])} here; give the run's own settings"
        )


def load_weights(run: str, step: int, model: nn.Module, ranks: Ranks | None = None) -> CheckpointState:
    """Read the weights of a checkpoint into `model`, after verifying them.

    Args:
        run: its folder.
        step: of the checkpoint.
        model: whole, or sharded over `ranks`.
        ranks: that read together; this process alone where not given.

    Raises:
        InputError: the run has no checkpoint of this step.
        CheckpointError: a file is missing, damaged or does not fit the model.
    """
    folder = checkpoint_folder(run, step)
    if not folder.is_dir():
        there = ", ".join(map(str, checkpoint_steps(run))) or "none"
        raise InputError(f"{run} has no checkpoint of step {step} (there: {there}); choose one of those")
    state = read_state(folder)
    _verify(folder, state, MODEL_FOLDER, ranks)
    weights = dict(model.state_dict())
    _require_fit(folder, MODEL_FOLDER, weights)
    read_tensors(folder / MODEL_FOLDER, weights, ranks.saving if ranks else None)
    return state


def restore(
    run: str, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks | None = None
) -> CheckpointState:
    """Read weights and optimizer state of a checkpoint, after verifying them; see `load_weights`.

    Raises:
        InputError: the run has no checkpoint of this step.
        CheckpointError: a file is missing, damaged or does not fit the model.
    """
    state = load_weights(run, step, model, ranks)
    folder = checkpoint_folder(run, step)
    _verify(folder, state, OPTIMIZER_FOLDER, ranks)
    parameters = dict(model.named_parameters())
    tensors: dict[str, Tensor] = {}
    for key, shape in stored_shapes(folder / OPTIMIZER_FOLDER).items():
        name = key.rpartition("/")[0]
        if name not in parameters:
            raise CheckpointError(
                f"{folder / OPTIMIZER_FOLDER} does not fit the model: it is of other parameters, such as {name}"
            )
        parameter = parameters[name]
        is_number = key.endswith("/step")
        tensors[key] = torch.zeros(shape) if is_number else torch.zeros_like(parameter, requires_grad=False)
    _require_fit(folder, OPTIMIZER_FOLDER, tensors)
    read_tensors(folder / OPTIMIZER_FOLDER, tensors, ranks.saving if ranks else None)
    _give(optimizer, parameters, tensors)
    return state


def _give(optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], tensors: dict[str, Tensor]) -> None:
    names = {id(parameter): name for name, parameter in parameters.items()}
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, part = key.rpartition("/")
        by_parameter.setdefault(name, {})[part] = value.view(()) if part == "step" else value
    ordered = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    content = optimizer.state_dict()
    content["state"] = {index: by_parameter[name] for index, name in enumerate(ordered) if name in by_parameter}
    optimizer.load_state_dict(content)
