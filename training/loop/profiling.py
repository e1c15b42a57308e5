"""A step looked at closely: where its time goes, and which memory it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError
from training.process_group import Ranks

__all__ = ["looked_at", "require_snapshots"]

_FOLDER = "profile"
_ROWS = 40  # of the table of operations


def require_snapshots(config: TrainConfig, device: torch.device) -> None:
    """Check that a memory snapshot can be taken where one is asked for.

    Raises:
        ConfigError: it cannot.
    """
    if config.memory_snapshot_step is not None and device.type != "cuda":
        raise ConfigError(
            f"memory_snapshot_step is {config.memory_snapshot_step}, and snapshots are of a GPU's memory, but this run "
            f"is on {device.type}; leave it out, or set profile_step, whose table has the memory of each operation"
        )


@contextmanager
def looked_at(config: TrainConfig, run: str, step: int, ranks: Ranks) -> Iterator[None]:
    """Profile the body, or write down its allocations, if it is the step for that.

    `<run>/profile/` then has `step-N-rank-R.json`, a trace for Perfetto or chrome://tracing, with a table beside it;
    `step-N-rank-R.pickle` is a snapshot for PyTorch's memory viewer.
    """
    name = Path(run) / _FOLDER / f"step-{step:06d}-rank-{ranks.rank}"
    if step in {config.profile_step, config.memory_snapshot_step}:
        name.parent.mkdir(exist_ok=True)
    if step == config.memory_snapshot_step:
        torch.cuda.memory._record_memory_history()
    if step == config.profile_step:
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if ranks.device.type == "cuda" else [])]
        with profile(activities=kinds, profile_memory=True) as found:
            yield
        found.export_chrome_trace(str(name.with_suffix(".json")))
        table = found.key_averages().table(sort_by="self_cpu_time_total", row_limit=_ROWS)
        name.with_suffix(".txt").write_text(table, encoding="utf-8")
    else:
        yield
    if step == config.memory_snapshot_step:
        torch.cuda.memory._dump_snapshot(str(name.with_suffix(".pickle")))  # type: ignore[no-untyped-call]
        torch.cuda.memory._record_memory_history(enabled=None)
