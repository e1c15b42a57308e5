"""The processes that train one model together: who is who, what they agree on, and where each has its part.

Where nothing was started by `torchrun` there is one rank, and nothing here calls `torch.distributed`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from training.hardware import pick_device

__all__ = ["Ranks", "end_with_parent", "is_rank", "join_ranks"]

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
# Collectives give up later than the watchdog does, whose message is the better one.
_LATER_SECONDS = 60.0


def is_rank() -> bool:
    """Whether `torchrun` or something like it has started this process as one of many."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; `saving` carries what a thread that saves has to say."""

    device: torch.device
    rank: int = 0
    size: int = 1
    saving: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes logs and speaks."""
        return self.rank == 0

    def sums(self, *values: float) -> list[float]:
        """The sum of each value over all ranks, the same on each."""
        if self.size == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        found: list[float] = together.tolist()
        return found

    def shared(self, value: T) -> T:
        """What the main rank has as `value`."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def everyone(self, value: T) -> list[T]:
        """The values of all ranks, in order; through the group of the thread that saves, so that it may be there."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self.saving)
        return found

    def mine(self, parts: Sequence[T]) -> Sequence[T]:
        """Every `size`-th part, from the own number on: all parts are somebody's."""
        return parts[self.rank :: self.size]


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is gone (Linux)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def join_ranks(device: str, patience_seconds: float) -> Iterator[Ranks]:
    """Be one of the ranks while the body runs: those that `torchrun` has started, or the only one.

    Args:
        device: see `pick_device`.
        patience_seconds: how long ranks wait for each other.

    Raises:
        ConfigError: the device is not there.
    """
    if not is_rank():
        yield Ranks(pick_device(device))
        return
    here = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    patience = timedelta(seconds=2 * patience_seconds + _LATER_SECONDS)
    if here.type == "cuda":
        torch.cuda.set_device(here)
        dist.init_process_group("nccl", timeout=patience, device_id=here)
    else:
        dist.init_process_group("gloo", timeout=patience)
    saving = dist.new_group(backend="gloo", timeout=patience)
    assert isinstance(saving, dist.ProcessGroup)
    yield Ranks(here, dist.get_rank(), dist.get_world_size(), saving)
    # Not after an error: the others may not come.
    dist.destroy_process_group()
