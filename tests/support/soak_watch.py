"""Memory of the services of a long run, as it goes on, and a picture of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prefect_services import Services
from processes import command_of, looking_on

__all__ = ["MemoryWatch", "draw", "watch_memory"]

_LOOK_SECONDS = 5.0
_MARKS = {"server": "uvicorn", "worker": "worker start"}


@dataclass
class MemoryWatch:
    """What was seen so far.

    Attributes:
        began: by the monotonic clock.
        seen: for each service, minutes and megabytes.
        kills: minutes at which something was ended on purpose.
    """

    services: Services
    began: float = field(default_factory=time.monotonic)
    seen: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {name: [] for name in _MARKS})
    kills: list[float] = field(default_factory=list)

    def minutes(self) -> float:
        """Since it began."""
        return (time.monotonic() - self.began) / 60

    def look(self) -> None:
        """Note the resident memory of the server and of its worker."""
        for process in self.services.processes():
            line = command_of(process)
            for name, mark in _MARKS.items():
                if mark in line and "supervisor.py" not in line:
                    try:
                        self.seen[name].append((self.minutes(), process.memory_info().rss / 1e6))
                    except psutil.NoSuchProcess:
                        continue

    def quarters(self, name: str) -> list[float]:
        """Mean megabytes of each quarter of the time."""
        whole = self.seen[name][-1][0] if self.seen[name] else 0.0
        parts: list[list[float]] = [[], [], [], []]
        for minute, megabytes in self.seen[name]:
            parts[min(3, int(4 * minute / whole)) if whole else 0].append(megabytes)
        return [statistics.fmean(part) if part else 0.0 for part in parts]


@contextmanager
def watch_memory(services: Services) -> Iterator[MemoryWatch]:
    """Look while the body runs."""
    watch = MemoryWatch(services)
    with looking_on(watch.look, _LOOK_SECONDS):
        yield watch


def draw(watch: MemoryWatch, path: Path) -> None:
    """Write the picture, PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    for name, points in watch.seen.items():
        axes.plot(*zip(*points, strict=True), ".", markersize=3, label=name)
    for number, minute in enumerate(watch.kills):
        axes.axvline(minute, color="0.75", linewidth=0.6, zorder=0, label=None if number else "something is killed")
    axes.set(xlabel="minutes", ylabel="resident memory, MB", ylim=(0, None), title="Server and worker during the soak")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right")
    picture.savefig(path, dpi=110)
