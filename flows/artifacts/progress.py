"""How far a flow is: a bar that moves with its steps, and what the steps say as lines of the run's log."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.logging import get_run_logger

from flows.artifacts.publish import artifact_key, in_a_run, publish_progress
from flows.artifacts.updates import flush_updates, send_update
from flows.demo.headlines import headline
from flows.steps import LOGGER, StepResult

__all__ = ["FlowProgress", "log_steps", "share_done", "show_progress"]

_EVERY_SECONDS = 3.0
_LINE_SECONDS = 5.0
# As in `step 120/320` and `[10/300] pages`.
_OF = re.compile(r"(\d[\d,]*) ?/ ?(\d[\d,]*)")


def share_done(line: str) -> float | None:
    """How much of its step a line says is done, from 0 to 1; None where it does not say."""
    found = _OF.search(line)
    if found is None:
        return None
    done, whole = (int(number.replace(",", "")) for number in found.groups())
    return min(done / whole, 1.0) if whole else None


class FlowProgress(logging.Handler):
    """Takes the events of steps from their logger, and moves the bar."""

    def __init__(self, key: str, steps: Sequence[str]) -> None:
        super().__init__()
        self._steps, self._ended = list(steps), list[str]()
        self._step, self._share, self._line = "", 0.0, ""
        self._shown = time.monotonic()
        self._artifact: UUID | None = publish_progress(key, 0.0, self._said())

    def _percent(self) -> float:
        return round(100 * min((len(self._ended) + self._share) / max(len(self._steps), 1), 1.0), 1)

    def _said(self) -> str:
        said = f"{len(self._ended)} of {len(self._steps)} steps done"
        return said + (f"; {self._step}: {self._line or 'begun'}" if self._step else "")

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._artifact is not None:
            send_update(self._artifact, self._percent(), self._said())

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event; other records are none of ours, and steps of other flows count for theirs."""
        event, about = getattr(record, "event", None), vars(record)
        if about.get("step") not in self._steps or about["step"] in self._ended:
            return
        if event == "begin":
            self._step, self._share, self._line = about["step"], 0.0, ""
            self._show()
        elif event == "line":
            self._line = record.getMessage()
            share = share_done(self._line)
            self._share = self._share if share is None else share
            if time.monotonic() - self._shown >= _EVERY_SECONDS:
                self._show()
        elif event == "end":
            self._ended.append(about["step"])
            self._step, self._share, self._line = "", 0.0, ""
            self._show()


class _StepLog(logging.Handler):
    """Hands what steps say to the log of the run that goes on; of their lines one now and then."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger
        self._written = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        event = getattr(record, "event", None)
        if event == "line":
            if time.monotonic() - self._written < _LINE_SECONDS:
                return
            self._written = time.monotonic()
        if event == "end":
            outcome: StepResult = vars(record)["outcome"]
            self._logger.info("%s: %s, %s", outcome.step, outcome.status, " ".join(headline(outcome).split()))
        elif event in ("begin", "line"):
            self._logger.info("%s", record.getMessage())


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)


@contextmanager
def show_progress(flow: str, about: str, steps: Sequence[str]) -> Iterator[None]:
    """Show the progress of the flow run that goes on, over these steps, while the body runs.

    Args:
        flow: its name.
        about: what this run works on; with the name, the key of the artifact.
        steps: names, in order.
    """
    if not in_a_run():
        yield
        return
    try:
        with _listening(FlowProgress(artifact_key("progress", flow, about), steps)):
            yield
    finally:
        flush_updates()


@contextmanager
def log_steps() -> Iterator[None]:
    """Write what steps say into the log of the run that goes on, while the body runs."""
    if not in_a_run():
        yield
        return
    with _listening(_StepLog(get_run_logger())):
        yield
