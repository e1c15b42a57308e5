"""Shows the steps of a flow while they run: a moving line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, Protocol, Self

from flows.demo.headlines import headline
from flows.steps import LOGGER, StepResult

__all__ = ["Display", "PlainLines", "TerminalLines", "open_display"]

# Lines of a step that come faster are left out where they cannot replace each other.
_LINE_SECONDS = 4.0
_QUIET_SECONDS = 10.0


class _Lines(Protocol):
    """How one step at a time is drawn."""

    def begin(self, label: str) -> None: ...

    def line(self, text: str) -> None: ...

    def end(self, label: str, text: str) -> None: ...

    def close(self) -> None: ...


class PlainLines:
    """One line after the other, and a sign of life when a step says nothing for a while."""

    def __init__(self) -> None:
        self._label = ""
        self._began = self._written = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._show_life, daemon=True, name="display")
        self._thread.start()

    def _write(self, text: str) -> None:
        self._written = time.monotonic()
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _show_life(self) -> None:
        while not self._over.wait(0.5):
            with self._lock:
                now = time.monotonic()
                if self._label and now - self._written > _QUIET_SECONDS:
                    self._write(f"{self._label} … {now - self._began:.0f} s")

    def begin(self, label: str) -> None:
        """A step begins."""
        with self._lock:
            self._label, self._began = label, time.monotonic()
            self._write(f"{label} …")

    def line(self, text: str) -> None:
        """A step says something."""
        with self._lock:
            if time.monotonic() - self._written >= _LINE_SECONDS:
                self._write(f"        {text}")

    def end(self, label: str, text: str) -> None:
        """A step is over."""
        with self._lock:
            self._label = ""
            self._write(f"{label}  {text}")

    def close(self) -> None:
        """Nothing more will come."""
        self._over.set()
        self._thread.join()


class TerminalLines:
    """The running step on one line that moves, those that are over above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._escape = escape
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[say]}"),
        )
        self._progress = Progress(*columns, console=Console(), transient=True)
        self._task: Any = None
        self._progress.start()

    def begin(self, label: str) -> None:
        """A step begins."""
        self._task = self._progress.add_task(self._escape(label), total=None, say="")

    def line(self, text: str) -> None:
        """A step says something."""
        if self._task is not None:
            self._progress.update(self._task, say=self._escape(text))

    def end(self, label: str, text: str) -> None:
        """A step is over."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._progress.console.print(f"[bold]{self._escape(label)}[/bold]  {self._escape(text)}", highlight=False)

    def close(self) -> None:
        """Nothing more will come."""
        self._progress.stop()


class Display(logging.Handler):
    """Takes the events of steps from their logger and draws them."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines
        self._names: list[str] = []

    def _label(self, name: str) -> str:
        if name not in self._names:
            return name
        total = len(self._names)
        number = f"{self._names.index(name) + 1:{len(str(total))}}"
        return f"[{number}/{total}] {name:{max(map(len, self._names))}}"

    def emit(self, record: logging.LogRecord) -> None:
        """Draw one event; other records are none of ours."""
        event, about = getattr(record, "event", None), vars(record)
        if event == "plan":
            self._names = about["steps"]
        elif event == "begin":
            self._lines.begin(self._label(about["step"]))
        elif event == "line":
            self._lines.line(record.getMessage())
        elif event == "end":
            outcome: StepResult = about["outcome"]
            self._lines.end(self._label(outcome.step), headline(outcome))

    def __enter__(self) -> Self:
        LOGGER.addHandler(self)
        LOGGER.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        LOGGER.removeHandler(self)
        self._lines.close()


def open_display() -> Display:
    """A display that fits where standard output goes."""
    return Display(TerminalLines() if sys.stdout.isatty() else PlainLines())
