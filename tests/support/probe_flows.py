"""Flows for tests that do little."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow

from flows.services.events import emit
from flows.services.gpu_slots import gpu_slot


@flow(name="probe-note")
def probe_note(path: str, text: str) -> None:
    """Write a file into the working folder."""
    Path(path).write_text(f"{text} {Path.cwd()}")


@flow(name="probe-fail")
def probe_fail(message: str) -> None:
    """Fail."""
    raise ValueError(message)


@flow(name="probe-hold")
def probe_hold(path: str) -> None:
    """Write down the process, hold a slot of the GPUs, and stay."""
    with gpu_slot():
        Path(path).write_text(str(os.getpid()))
        while True:
            time.sleep(1)


@flow(name="probe-event")
def probe_event(event: str, subject: str, message: str) -> None:
    """Tell of an event of ours."""
    emit(event, subject, message)  # type: ignore[arg-type]
