"""Flows for tests that do little."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# The worker that runs this knows nothing of where tests find their modules.
sys.path.insert(0, str(Path(__file__).parent))

from prefect import flow
from process_tree import tree_command

from flows.launch import run_child
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


@flow(name="probe-tree")
def probe_tree(folder: str) -> None:
    """Wait for a command whose processes no signal reaches."""
    run_child(tree_command(Path(folder)), grace_seconds=2.0)


@flow(name="probe-event")
def probe_event(event: str, subject: str, message: str) -> None:
    """Tell of an event of ours."""
    emit(event, subject, message)  # type: ignore[arg-type]
