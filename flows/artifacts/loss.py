"""The loss of a training run, shown while it trains: as a plot that grows, and as an event when it jumps."""

from __future__ import annotations

import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from flows.artifacts.mermaid import fenced, line_chart, markdown_table
from flows.artifacts.publish import artifact_key, in_a_run, publish_markdown, tell_event
from flows.artifacts.updates import send_update
from flows.report.numbers import as_compact, as_count, as_duration, as_number
from flows.services.events import SPIKE_EVENT
from training.loop.run_log import METRICS_NAME

__all__ = ["LossFollower", "MetricsTail", "SpikeWatch", "loss_markdown"]

_EVERY_SECONDS = 10.0
_LOOK_SECONDS = 1.0
# Of a plot that is 900 pixels wide.
_POINTS = 120
_TABLE_ROWS = 12
# A jump: a loss that lies this many times the usual distance above the median of the steps before it, and by a tenth.
# Losses of single batches stay within four such distances; the first steps fall too fast to say what is usual.
_WINDOW, _LEAST, _DISTANCES, _SHARE = 64, 16, 8.0, 1.1


def _rows(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # of a machine that lost its power while it wrote
            continue


class MetricsTail:
    """New rows of a run's metrics, read from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._read = -1, 0

    def new_rows(self) -> tuple[list[dict[str, Any]], bool]:
        """Rows since the last call; and whether the file is another one, so that all before counts no more."""
        try:
            with self._path.open("rb") as stream:
                stat = self._path.stat()
                anew = stat.st_ino != self._file or stat.st_size < self._read
                if anew:
                    self._file, self._read = stat.st_ino, 0
                stream.seek(self._read)
                data = stream.read()
        except OSError:
            return [], False
        whole = data.rfind(b"\n") + 1  # the last line may be half written
        self._read += whole
        return list(_rows(data[:whole])), anew


class SpikeWatch:
    """Tells when a loss jumps, once for each jump."""

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=_WINDOW)
        self._jumping = False

    def usual(self) -> float:
        """The median of the steps before."""
        return statistics.median(self._before)

    def jumps(self, loss: float) -> bool:
        """Whether this step begins a jump."""
        if len(self._before) < _LEAST:
            self._before.append(loss)
            return False
        middle = self.usual()
        distance = statistics.median(abs(one - middle) for one in self._before)
        high = not loss <= max(middle + _DISTANCES * distance, middle * _SHARE)  # a loss that is no number is one too
        begins, self._jumping = high and not self._jumping, high
        if not high:
            self._before.append(loss)
        return begins


def _means(values: Sequence[float], points: int) -> list[float]:
    """So many means of neighbours, or the values themselves where they are as few."""
    if len(values) <= points:
        return list(values)
    ends = [round(number * len(values) / points) for number in range(points + 1)]
    return [statistics.fmean(values[one:other]) for one, other in pairwise(ends)]


def _plot(title: str, steps: Sequence[int], values: Sequence[float]) -> list[str]:
    finite = [(step, value) for step, value in zip(steps, values, strict=True) if abs(value) < float("inf")]
    if len(finite) < 2:
        return []
    shown = _means([value for _, value in finite], _POINTS)
    return [fenced(line_chart("step", (finite[0][0], finite[-1][0]), title, shown))]


def loss_markdown(run: str, rows: Sequence[dict[str, Any]], jumps: Sequence[int]) -> str:
    """The losses of a run as plots, and some rows as a table."""
    last = rows[-1]
    validated = [row for row in rows if row.get("validation_loss") is not None]
    share = max(1, -(-len(rows) // _POINTS))
    losses = _plot("loss", [row["step"] for row in rows], [row["loss"] for row in rows])
    checks = _plot("validation loss", [row["step"] for row in validated], [row["validation_loss"] for row in validated])
    stride = max(1, -(-len(rows) // _TABLE_ROWS))
    table = [
        (
            as_count(row["step"]),
            as_number(row["loss"]),
            "–" if row.get("validation_loss") is None else as_number(row["validation_loss"]),
            f"{row['learning_rate']:.2e}",
            as_compact(row["tokens"]),
        )
        for row in rows[::-stride]
    ]
    seconds = sum(row["seconds"] for row in rows)
    return "\n".join(
        [
            f"# {run}: step {as_count(last['step'])}, loss {as_number(last['loss'])}",
            "",
            *losses,
            *(["A point is the mean of up to " + as_count(share) + " steps."] if share > 1 and losses else []),
            *(["", *checks] if checks else []),
            "",
            markdown_table(("step", "loss", "validation loss", "learning rate", "tokens"), table),
            f"{as_compact(last['tokens'])} tokens in {as_duration(seconds)} of optimizer steps.",
            *(["", f"The loss jumped at step {', '.join(map(as_count, jumps))}."] if jumps else []),
        ]
    )


class LossFollower:
    """Follows the metrics of a run while it trains; `look` may be called as often as one likes, and never waits."""

    def __init__(self, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Take in what is there, and show it: jumps in it were told when they happened."""
        self._run = run
        self._name = run.rstrip("/").rpartition("/")[2]
        self._tail = MetricsTail(Path(run) / METRICS_NAME)
        self._clock = clock
        self._rows: list[dict[str, Any]] = []
        self._spikes, self._jumps = SpikeWatch(), list[int]()
        self._old = 0
        self._take_in(tell=False)
        self._old, self._shown = self._newest_step(), len(self._rows)
        self._artifact: UUID | None = None
        if in_a_run():
            self._artifact = publish_markdown(artifact_key("loss", self._name), *self._text())
        self._next_look = self._next_show = clock()

    def _newest_step(self) -> int:
        return int(self._rows[-1]["step"]) if self._rows else 0

    def _text(self) -> tuple[str, str]:
        if not self._rows:
            return f"# {self._name}\n\nThe first step has not ended yet.\n", f"{self._run}: no step yet"
        last = self._rows[-1]
        said = f"{self._run}: step {as_count(last['step'])}, loss {as_number(last['loss'])}"
        return loss_markdown(self._name, self._rows, self._jumps), said

    def look(self) -> None:
        """Take in new rows, and show them where the last time is long enough ago."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        self._take_in()
        if now >= self._next_show and len(self._rows) != self._shown:
            self._show()
            # What showing takes, of a long run too, stays under two in a hundred.
            self._next_show = now + max(_EVERY_SECONDS, 50 * (self._clock() - now))

    def _take_in(self, *, tell: bool = True) -> None:
        rows, anew = self._tail.new_rows()
        if anew:
            self._rows, self._spikes, self._jumps = [], SpikeWatch(), []
        for row in rows:
            self._rows.append(row)
            if self._spikes.jumps(row["loss"]):
                self._jumps.append(row["step"])
                if tell and row["step"] > self._old:
                    self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        usual = self._spikes.usual()
        message = f"step {row['step']}: the loss jumped to {row['loss']:.3f}, where {usual:.3f} was usual"
        about = {"run": self._run, "step": row["step"], "loss": row["loss"], "usual": usual, "message": message}
        tell_event(SPIKE_EVENT, f"corpusmill.run.{self._run}", self._name, about)

    def _show(self) -> None:
        self._shown = len(self._rows)
        if self._artifact is not None:
            send_update(self._artifact, *self._text())

    def finish(self) -> None:
        """Show all rows there are."""
        self._take_in()
        self._show()
