"""The loss of a training run, shown while it trains: as a plot that grows, and its bad steps as events.

Which steps are bad is what the run itself has written down: nothing is judged here.
"""

from __future__ import annotations

import json
import statistics
import time
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
from training.loop.bad_steps import BAD_STEPS_NAME, BadStep
from training.loop.run_log import METRICS_NAME

__all__ = ["LossFollower", "MetricsTail", "loss_markdown"]

_EVERY_SECONDS = 10.0
_LOOK_SECONDS = 1.0
# Of a plot that is 900 pixels wide.
_POINTS = 120
_TABLE_ROWS = 12
_NAMED_DOCUMENTS = 5


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


def _bad_lines(bad: Sequence[BadStep]) -> list[str]:
    shown = [f"- {one.message()}" for one in bad[-_TABLE_ROWS:]]
    older = len(bad) - len(shown)
    more = [f"- {as_count(older)} before these, in `{BAD_STEPS_NAME}`"] if older else []
    return ["", "## Bad steps", "", *shown, *more] if bad else []


def loss_markdown(run: str, rows: Sequence[dict[str, Any]], bad: Sequence[BadStep]) -> str:
    """The losses of a run as plots, and some rows as a table; its bad steps below."""
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
            *_bad_lines(bad),
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
        self._bad_tail = MetricsTail(Path(run) / BAD_STEPS_NAME)
        self._bad: list[BadStep] = []
        self._take_in()
        self._told, self._shown = len(self._bad), len(self._rows)
        self._artifact: UUID | None = None
        if in_a_run():
            self._artifact = publish_markdown(artifact_key("loss", self._name), *self._text())
        self._next_look = self._next_show = clock()

    def _text(self) -> tuple[str, str]:
        if not self._rows:
            return f"# {self._name}\n\nThe first step has not ended yet.\n", f"{self._run}: no step yet"
        last = self._rows[-1]
        said = f"{self._run}: step {as_count(last['step'])}, loss {as_number(last['loss'])}"
        return loss_markdown(self._name, self._rows, self._bad), said

    def look(self) -> None:
        """Take in new rows, and show them where the last time is long enough ago."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        self._take_in()
        self._tell()
        if now >= self._next_show and len(self._rows) != self._shown:
            self._show()
            # What showing takes, of a long run too, stays under two in a hundred.
            self._next_show = now + max(_EVERY_SECONDS, 50 * (self._clock() - now))

    def _take_in(self) -> None:
        rows, anew = self._tail.new_rows()
        self._rows = rows if anew else [*self._rows, *rows]
        bad, anew = self._bad_tail.new_rows()
        found = [BadStep.model_validate(one) for one in bad]
        self._bad = found if anew else [*self._bad, *found]

    def _tell(self) -> None:
        """Tell of bad steps that were not told yet; of those that follow one another, of the first."""
        for number in range(self._told, len(self._bad)):
            one = self._bad[number]
            if number and one.step == self._bad[number - 1].step + 1:
                continue
            documents = [document.model_dump() for document in one.documents[:_NAMED_DOCUMENTS]]
            about = {"run": self._run, "step": one.step, "loss": one.loss, "action": one.action}
            about |= {"documents": documents, "message": one.message()}
            tell_event(SPIKE_EVENT, f"corpusmill.run.{self._run}", self._name, about)
        self._told = len(self._bad)

    def _show(self) -> None:
        self._shown = len(self._rows)
        if self._artifact is not None:
            send_update(self._artifact, *self._text())

    def finish(self) -> None:
        """Show all rows there are."""
        self._take_in()
        self._tell()
        self._show()
