"""A cluster from outside: up, down, status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.flink.keeper import CONFIG_FILE, EVENTS_FILE, PROCESSES_FILE
from flows.flink.toolchain import find_java, jars
from pipelines.engine.flink.description import ClusterDescription, description_file, read_cluster
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from schemas.configs.flink import FlinkConfig
from schemas.errors import CorpusmillError, InputError, StageError
from schemas.lease import process_start

__all__ = ["cluster_status", "start_cluster", "stop_cluster"]

_KEEPER_LOG = "keeper.log"
_STOP_SECONDS = 20.0


def _is_up(about: ClusterDescription) -> bool:
    return about.keeper_pid is None or process_start(about.keeper_pid) == about.keeper_start


def _known(folder: Path) -> ClusterDescription | None:
    """The cluster that is up in this folder; None where there is none, or only the word of one that was killed."""
    try:
        about = read_cluster(folder)
    except InputError:
        return None
    return about if _is_up(about) else None


def start_cluster(config: FlinkConfig, folder: Path, tell: Callable[[str], None]) -> ClusterDescription:
    """Start a cluster that stays when this process ends.

    Args:
        config: its size.
        folder: where its files lie.
        tell: is given a line of text for what takes long.

    Raises:
        InputError: Java or Maven is missing, or a cluster is up there already.
        StageError: it does not come up; the message says why.
        OutputError: the folder cannot be written.
    """
    if _known(folder) is not None:
        raise InputError(f"a Flink cluster is up already in {folder}; `corpusmill flink down` stops it")
    find_java()
    jars(tell)
    folder.mkdir(parents=True, exist_ok=True)
    description_file(folder).unlink(missing_ok=True)
    (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=1))
    tell("starting the daemons")
    with (folder / _KEEPER_LOG).open("wb") as log:
        command = [sys.executable, "-m", "flows.flink.keeper", str(folder)]
        quiet = subprocess.DEVNULL
        keeper = subprocess.Popen(command, stdin=quiet, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    while keeper.poll() is None:
        about = _known(folder)
        if about is not None:
            return about
        time.sleep(0.2)
    said = (folder / _KEEPER_LOG).read_text().strip().splitlines()
    message = said[-1] if said else f"exit code {keeper.returncode}"
    kind: type[CorpusmillError] = InputError if keeper.returncode == InputError.exit_code else StageError
    raise kind(f"the Flink cluster did not start: {message}")


def stop_cluster(folder: Path) -> bool:
    """Stop the cluster of a folder and wait until all of it is gone; gives whether one was up.

    Raises:
        StageError: it does not end.
    """
    about = _known(folder)
    if about is None or about.keeper_pid is None:
        description_file(folder).unlink(missing_ok=True)
        return False
    os.kill(about.keeper_pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_up(about):
        if time.monotonic() > deadline:
            # Every daemon is bound to the keeper's life.
            os.kill(about.keeper_pid, signal.SIGKILL)
        if time.monotonic() > deadline + _STOP_SECONDS:
            raise StageError(f"process {about.keeper_pid}, the keeper of the cluster in {folder}, does not end")
        time.sleep(0.1)
    return True


def _events(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / EVENTS_FILE).read_text().splitlines()
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines]
    ups = [number for number, event in enumerate(events) if event["event"] == "up"]
    return events[ups[-1] :] if ups else events


def cluster_status(folder: Path) -> dict[str, Any]:
    """What is up: `state` (`up`, `down`, `not answering`), web UI, slots, processes, daemons that were restarted.

    Raises:
        InputError: the description of the cluster is damaged.
    """
    about = _known(folder)
    if about is None:
        return {"state": "down", "folder": str(folder)}
    status: dict[str, Any] = {"state": "up", "folder": str(folder), "ui": about.rest, "slots": about.slots}
    processes = folder / PROCESSES_FILE
    status["processes"] = json.loads(processes.read_text()) if processes.is_file() else {}
    status["restarted"] = [event["daemon"] for event in _events(folder) if event["event"] == "died"]
    if about.rest:
        try:
            status["task_managers"], status["slots_now"] = FlinkRest(about.rest).slots()
        except FlinkUnreachableError as error:
            status |= {"state": "not answering", "message": str(error)}
    return status
