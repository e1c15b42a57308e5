"""Lines on stderr that say how far a run is and how long it will take."""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Writes a line every few seconds, and at the last step."""

    def __init__(self, first_step: int, steps: int, every_seconds: float) -> None:
        self._first, self._steps, self._every = first_step, steps, every_seconds
        self._began = self._written = time.monotonic()
        self._tokens = 0

    def say(self, text: str) -> None:
        """Write a line of its own."""
        sys.stderr.write(f"corpusmill: {text}\n")
        sys.stderr.flush()

    def step(self, step: int, loss: float, validation_loss: float | None, learning_rate: float, tokens: int) -> None:
        """Note a finished step, counted from 1: its losses, its learning rate and the tokens it trained on."""
        now = time.monotonic()
        self._tokens += tokens
        if now - self._written < self._every and step < self._steps:
            return
        self._written = now
        seconds = max(now - self._began, 1e-9)
        remaining = (self._steps - step) * seconds / (step - self._first)
        validation = "" if validation_loss is None else f"  validation {validation_loss:.2f}"
        rate = f"{self._tokens / seconds / 1000:.1f}k tokens/s"
        sys.stderr.write(
            f"step {step}/{self._steps}  loss {loss:.2f}{validation}  lr {learning_rate:.1e}  {rate}  "
            f"eta {_clock(remaining)}\n"
        )
        sys.stderr.flush()
