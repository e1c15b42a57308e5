"""A cluster from outside: up, down, status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.flink.toolchain import find_java, jars
from flows.keeping.control import daemons_of, restarted_daemons, start_keeper, stop_keeper
from flows.keeping.keeper import keeper_of
from pipelines.engine.flink.description import ClusterDescription, description_file, read_cluster
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from schemas.configs.flink import FlinkConfig
from schemas.errors import InputError
from schemas.lease import process_start

__all__ = ["cluster_status", "start_cluster", "stop_cluster"]

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
    tell("starting the daemons")

    def find(keeper: int) -> ClusterDescription | None:
        found = _described(folder)
        return found if found is not None and found.keeper_pid == keeper else None

    command = [sys.executable, "-m", "flows.flink.keeper", str(folder), config.model_dump_json(), str(os.getpid())]
    return start_keeper(command, folder, find, "the Flink cluster")


def stop_cluster(folder: Path) -> bool:
    """Stop the cluster of a folder and wait until all of it is gone; gives whether one was up, or on its way up.

    Raises:
        InputError: the cluster that is described there is not ours to stop.
        StageError: it does not end.
    """
    if keeper_of(folder) is None and _described(folder) is not None:
        raise InputError(f"{description_file(folder)} describes a cluster that we do not keep; stop it where it runs")
    return stop_keeper(folder, "the cluster", _STOP_SECONDS)


def cluster_status(folder: Path) -> dict[str, Any]:
    """What is up: `state` (`up`, `down`, `not answering`), web UI, slots, processes, daemons that were restarted.

    Raises:
        InputError: the description of the cluster is damaged.
    """
    about = _described(folder)
    if about is None:
        return {"state": "down", "folder": str(folder)}
    status: dict[str, Any] = {"state": "up", "folder": str(folder), "ui": about.rest, "slots": about.slots}
    status["processes"] = daemons_of(folder)
    status["restarted"] = restarted_daemons(folder)
    if about.rest:
        try:
            status["task_managers"], status["slots_now"] = FlinkRest(about.rest).slots()
        except FlinkUnreachableError as error:
            status |= {"state": "not answering", "message": str(error)}
    return status
