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

from flows.flink.keeper import EVENTS_FILE, PROCESSES_FILE, keeper_of
from flows.flink.toolchain import find_java, jars
from pipelines.engine.flink.description import ClusterDescription, description_file, read_cluster
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from schemas.configs.flink import FlinkConfig
from schemas.errors import CorpusmillError, InputError, OutputError, StageError
from schemas.lease import process_start

__all__ = ["cluster_status", "start_cluster", "stop_cluster"]

_KEEPER_LOG = "keeper.log"
_STOP_SECONDS = 20.0


def _described(folder: Path) -> ClusterDescription | None:
    """What `cluster.json` says: of a cluster of ours that is up, or of one that somebody else keeps.

    Raises:
        InputError: it is damaged.
    """
    try:
        about = read_cluster(folder)
    except InputError:
        if description_file(folder).exists():
            raise
        return None  # and one that goes while it is read
    ours = about.keeper_pid is not None
    return None if ours and process_start(about.keeper_pid or 0) != about.keeper_start else about


def start_cluster(config: FlinkConfig, folder: Path, tell: Callable[[str], None]) -> ClusterDescription:
    """Start a cluster that stays when this process ends.

    Args:
        config: its size.
        folder: where its files lie.
        tell: is given a line of text for what takes long.

    Raises:
        InputError: Java or Maven is missing, or a cluster is up there already, or described.
        StageError: it does not come up; the message says why.
        OutputError: the folder cannot be written.
    """
    about = _described(folder)
    if keeper_of(folder) is not None:
        raise InputError(f"a Flink cluster is up already in {folder}; `corpusmill flink down` stops it")
    if about is not None:
        raise InputError(f"{description_file(folder)} describes a cluster that we do not keep; give another --folder")
    find_java()
    jars(tell)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / _KEEPER_LOG).open("ab")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}; give another --folder") from error
    tell("starting the daemons")
    with log:
        command = [sys.executable, "-m", "flows.flink.keeper", str(folder), config.model_dump_json(), str(os.getpid())]
        quiet = subprocess.DEVNULL
        keeper = subprocess.Popen(command, stdin=quiet, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
    try:
        while keeper.poll() is None:
            about = _described(folder)
            if about is not None and about.keeper_pid == keeper.pid:
                return about
            time.sleep(0.2)
    except BaseException:
        keeper.terminate()
        keeper.wait()
        raise
    said = (folder / _KEEPER_LOG).read_text().strip().splitlines()
    message = said[-1] if said else f"exit code {keeper.returncode}"
    kind: type[CorpusmillError] = InputError if keeper.returncode == InputError.exit_code else StageError
    raise kind(f"the Flink cluster did not start: {message}")


def stop_cluster(folder: Path) -> bool:
    """Stop the cluster of a folder and wait until all of it is gone; gives whether one was up, or on its way up.

    Raises:
        InputError: the cluster that is described there is not ours to stop.
        StageError: it does not end.
    """
    keeper = keeper_of(folder)
    if keeper is None:
        about = _described(folder)
        if about is not None:
            raise InputError(
                f"{description_file(folder)} describes a cluster that we do not keep; stop it where it runs"
            )
        return False
    os.kill(keeper, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while keeper_of(folder) == keeper:
        if time.monotonic() > deadline:
            os.kill(keeper, signal.SIGKILL)  # every daemon is bound to its life
        if time.monotonic() > deadline + _STOP_SECONDS:
            raise StageError(f"process {keeper}, the keeper of the cluster in {folder}, does not end")
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
    about = _described(folder)
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
