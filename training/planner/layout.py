"""The smallest layout that fits: how many accelerators, what is sharded, what is computed again, how many at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.configs.model import ModelConfig
from schemas.errors import ConfigError
from training.planner.hardware import Gpu, HardwareTable
from training.planner.memory import CHECKPOINTING, Checkpointing, Layout, Memory, Sharding, peak_memory

__all__ = ["Wishes", "fewest_gpus", "find_layout", "largest_micro_batch", "refusal", "what_fits"]

_GIB = 2**30
# Matrix products are as fast as they get well before this; more only costs memory.
_TOKENS_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user has decided about a layout; None where the plan may choose."""

    batch: int
    micro_batch: int | None = None
    checkpointing: Checkpointing | None = None
    moments: int = 2
    windows: int = 0
    size: int = 2


def _memory(model: ModelConfig, layout: Layout, wishes: Wishes) -> Memory:
    return peak_memory(model, layout, size=wishes.size, moments=wishes.moments, windows=wishes.windows)


def _kinds(gpus: int, wishes: Wishes) -> Iterator[tuple[Checkpointing, Sharding]]:
    """Sharding and checkpointing in the order of what they cost: communication before computing again."""
    for checkpointing in CHECKPOINTING if wishes.checkpointing is None else (wishes.checkpointing,):
        for sharding in ("none",) if gpus == 1 else ("ddp", "fsdp"):
            yield checkpointing, sharding  # type: ignore[misc]  # mypy widens the literals of a conditional


def largest_micro_batch(model: ModelConfig, gpu: Gpu, wishes: Wishes, layout: Layout) -> Layout | None:
    """`layout` with the largest micro-batch that fits and divides a device's share of the batch; None if none does."""
    share = wishes.batch // layout.gpus
    room = gpu.memory_bytes - gpu.reserve_bytes
    limit = max(1, _TOKENS_AT_ONCE // model.context)
    sizes = (
        [wishes.micro_batch] if wishes.micro_batch else [n for n in range(min(share, limit), 0, -1) if share % n == 0]
    )
    for micro_batch in sizes:
        sized = Layout(
            batch=wishes.batch,
            micro_batch=micro_batch,
            gpus=layout.gpus,
            sharding=layout.sharding,
            checkpointing=layout.checkpointing,
        )
        if _memory(model, sized, wishes).total <= room:
            return sized
    return None


def _layouts(gpus: int, wishes: Wishes) -> Iterator[Layout]:
    for checkpointing, sharding in _kinds(gpus, wishes):
        yield Layout(
            batch=wishes.batch,
            micro_batch=wishes.micro_batch or 1,
            gpus=gpus,
            sharding=sharding,
            checkpointing=checkpointing,
        )


def _fitting(model: ModelConfig, gpu: Gpu, gpus: int, wishes: Wishes) -> Layout | None:
    sized = (largest_micro_batch(model, gpu, wishes, layout) for layout in _layouts(gpus, wishes))
    return next((layout for layout in sized if layout is not None), None)


def _numbers(batch: int) -> list[int]:
    """Numbers of accelerators that share a batch evenly: 1, 2, 4, then whole machines of eight."""
    return [gpus for gpus in range(1, batch + 1) if batch % gpus == 0 and (gpus in {1, 2, 4} or gpus % 8 == 0)]


def fewest_gpus(model: ModelConfig, gpu: Gpu, wishes: Wishes) -> Layout | None:
    """The layout with the fewest accelerators that fits; None where sharding alone never makes it fit."""
    layouts = (_fitting(model, gpu, gpus, wishes) for gpus in _numbers(wishes.batch))
    return next((layout for layout in layouts if layout is not None), None)


def what_fits(model: ModelConfig, table: HardwareTable, wishes: Wishes) -> str:
    """The fewest of each accelerator of the table that do, such as `128 x h100, 64 x h200`; empty where none does."""
    found = {name: fewest_gpus(model, gpu, wishes) for name, gpu in table.gpu.items()}
    return ", ".join(f"{layout.gpus} x {name}" for name, layout in found.items() if layout is not None)


def refusal(name: str, model: ModelConfig, table: HardwareTable, gpu: str, gpus: int | None, wishes: Wishes) -> str:
    """Why a model does not fit, and what would do."""
    gpus = gpus or wishes.batch
    least = min(_memory(model, layout, wishes).total for layout in _layouts(gpus, wishes))
    room = table.gpu[gpu].memory_bytes - table.gpu[gpu].reserve_bytes
    others = what_fits(model, table, wishes)
    advice = f"what fits: {others}" if others else "nothing in the table fits"
    needs = f"{name} does not fit on {gpus} x {gpu}: {least / _GIB:,.1f} GiB a device, and {room / _GIB:,.1f} are there"
    if fewest_gpus(model, table.gpu[gpu], wishes) is None:
        parts = -(-least // room)
        return (
            f"{needs}; more devices do not help, since this is after sharding (the engine does FSDP2; tensor or "
            f"pipeline parallelism over about {parts} would divide it); {advice}"
        )
    return f"{needs}; {advice}"


def find_layout(model: ModelConfig, table: HardwareTable, gpu: str, gpus: int | None, wishes: Wishes) -> Layout | None:
    """The layout of a plan, on `gpus` accelerators or on the fewest that fit; None where it does not fit.

    Raises:
        ConfigError: the table has no such accelerator, or the batch does not split over them.
    """
    if gpus is not None and wishes.batch % gpus:
        near = [number for number in _numbers(wishes.batch) if number < gpus][-1:]
        raise ConfigError(
            f"--gpus {gpus}: a batch of {wishes.batch} sequences does not split evenly over {gpus}; "
            f"give a divisor such as {near[0] if near else 1}, or another batch (--set batch=N)"
        )
    kind = table.find(gpu)
    return fewest_gpus(model, kind, wishes) if gpus is None else _fitting(model, kind, gpus, wishes)
