"""Tensors of a checkpoint as safetensors files: one from one process, one of each rank from many.

Files of many ranks are PyTorch's distributed checkpoints (DCP) in its safetensors layout, and either kind is read by
any number of ranks: each tensor's place in the whole stands in the files.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from schemas.errors import CheckpointError
from training.process_group import Ranks

__all__ = ["read_tensors", "staged", "stored_shapes", "sync", "write_tensors"]

Tensors = dict[str, Tensor]
_ONLY_FILE = "model-00001-of-00001.safetensors"


def sync(path: Path) -> None:
    """Have the system write a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def staged(tensors: Tensors) -> Tensors:
    """Copies in memory that later steps do not change."""
    if not any(isinstance(tensor, DTensor) for tensor in tensors.values()):
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    fast = torch.cuda.is_available()
    options = StagingOptions(
        use_pinned_memory=fast, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=fast
    )
    stager = DefaultStager(options)
    copies = stager.stage({name: tensor.detach() for name, tensor in tensors.items()})
    assert isinstance(copies, dict)
    return copies


def write_tensors(folder: Path, tensors: Tensors, ranks: Ranks) -> None:
    """Write tensors into an empty folder, each rank what is its own; of what all have, each rank a part.

    Raises:
        OSError: a file cannot be written; on all ranks, whichever could not.
    """
    try:
        if ranks.size == 1:
            save_file(tensors, folder / _ONLY_FILE)
            sync(folder / _ONLY_FILE)
        else:
            writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
            save(tensors, storage_writer=writer, process_group=ranks.saving)
    except CheckpointException as error:
        first, _ = next(iter(error.failures.values()))
        raise OSError(f"{type(first).__name__}: {first}") from error
    except SafetensorError as error:
        raise OSError(str(error)) from error


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The tensors in a folder, by name.

    Raises:
        CheckpointError: a file is no safetensors file.
    """
    try:
        found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except SafetensorError as error:
        raise CheckpointError(
            f"{folder} is damaged: {error}; delete {folder.parent} to go on from before it"
        ) from error
    return {name: tuple(one.size) for name, one in found.items() if isinstance(one, TensorStorageMetadata)}


def read_tensors(folder: Path, into: Tensors, process_group: dist.ProcessGroup | None = None) -> None:
    """Read tensors into those given, each rank what it holds of them.

    Raises:
        CheckpointError: they cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # One process reads what many wrote; PyTorch asks whether that is meant.
            warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
            reader = HuggingFaceStorageReader(str(folder))
            load(into, storage_reader=reader, process_group=process_group, no_dist=process_group is None)
    except CheckpointException as error:
        first, _ = next(iter(error.failures.values()))
        raise CheckpointError(
            f"{folder} cannot be read: {type(first).__name__}: {first}; delete {folder.parent} to go on from before it"
        ) from error
