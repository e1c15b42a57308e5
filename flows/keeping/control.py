"""A keeper from outside: starting it so that it stays, stopping it, and what it wrote down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flows.keeping.keeper import EVENTS_FILE, PROCESSES_FILE, keeper_of
from schemas.errors import CorpusmillError, InputError, OutputError, StageError

__all__ = ["KEEPER_LOG", "daemons_of", "restarted_daemons", "start_keeper", "stop_keeper"]

KEEPER_LOG = "keeper.log"
_LOOK_SECONDS = 0.2
_FoundT = TypeVar("_FoundT")


def start_keeper(
    command: Sequence[str],
    folder: Path,
    find: Callable[[int], _FoundT | None],
    what: str,
    env: Mapping[str, str] | None = None,
) -> _FoundT:
    """Start a keeper that stays when this process ends, and wait until what it keeps is up.

    Args:
        command: the keeper's command line.
        folder: where its files lie.
        find: given the keeper's pid, what it has described; None as long as it has not.
        what: the name of what it keeps, for messages.
        env: the keeper's whole environment; this process's own where not given.

    Raises:
        InputError: the keeper says that something that the user gave is wrong.
        StageError: it does not come up; the message says why.
        OutputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / KEEPER_LOG).open("ab")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}; give another folder") from error
    quiet = subprocess.DEVNULL
    with log:
        keeper = subprocess.Popen(  # noqa: S603
            command, stdin=quiet, stdout=log, stderr=log, env=env, start_new_session=True
        )
    try:
        while keeper.poll() is None:
            found = find(keeper.pid)
            if found is not None:
                return found
            time.sleep(_LOOK_SECONDS)
    except BaseException:
        keeper.terminate()
        keeper.wait()
        raise
    said = (folder / KEEPER_LOG).read_text().strip().splitlines()
    message = said[-1] if said else f"exit code {keeper.returncode}"
    kind: type[CorpusmillError] = InputError if keeper.returncode == InputError.exit_code else StageError
    raise kind(f"{what} did not start: {message}")


def stop_keeper(folder: Path, what: str, seconds: float) -> bool:
    """Stop the keeper of a folder and wait until all of it is gone; gives whether one was there.

    Args:
        folder: where its files lie.
        what: the name of what it keeps, for messages.
        seconds: how long it may take to end what it keeps; then it is killed, and every daemon with it.

    Raises:
        StageError: it does not end.
    """
    keeper = keeper_of(folder)
    if keeper is None:
        return False
    os.kill(keeper, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while keeper_of(folder) == keeper:
        if time.monotonic() > deadline:
            os.kill(keeper, signal.SIGKILL)
        if time.monotonic() > deadline + seconds:
            raise StageError(f"process {keeper}, the keeper of {what} in {folder}, does not end")
        time.sleep(_LOOK_SECONDS)
    return True


def daemons_of(folder: Path) -> dict[str, int]:
    """Pids of the daemons that run, by name."""
    try:
        return dict(json.loads((folder / PROCESSES_FILE).read_text()))
    except FileNotFoundError:
        return {}


def _events(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / EVENTS_FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines]
    ups = [number for number, event in enumerate(events) if event["event"] == "up"]
    return events[ups[-1] :] if ups else events


def restarted_daemons(folder: Path) -> list[str]:
    """The daemons that have died since all was up, one name for each death."""
    return [str(event["daemon"]) for event in _events(folder) if event["event"] == "died"]
