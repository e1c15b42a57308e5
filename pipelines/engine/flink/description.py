"""Where a Flink cluster is: the file that `corpusmill flink up` writes and `--runner flink` reads.

For a cluster of one's own, such as a rack's, the same file can be written by hand: job server, REST address, slots and
the environment in which Python workers start are all that a run needs to know.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import InputError

__all__ = ["FOLDER_VARIABLE", "ClusterDescription", "cluster_folder", "description_file", "listens", "read_cluster"]

FOLDER_VARIABLE = "CORPUSMILL_FLINK"
_FILE = "cluster.json"
_CONNECT_SECONDS = 2.0


class ClusterDescription(BaseModel):
    """A cluster that takes jobs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_endpoint: str = Field(description="host:port of Beam's job server")
    rest: str | None = Field(description="URL of Flink's REST API and web UI; none for an embedded Flink")
    slots: int = Field(ge=1, description="of all task managers together")
    slots_of_task_manager: int = Field(ge=1, description="Python workers that a task manager may start")
    environment_type: str = Field(description="EXTERNAL or PROCESS, as Beam understands them")
    environment_config: str = Field(description="host:port of the worker pool, or JSON with the worker's command")
    keeper_pid: int | None = Field(default=None, description="process that started the cluster and keeps it up")
    keeper_start: str | None = Field(default=None, description="tells that process from a later one of the same pid")


def listens(endpoint: str) -> bool:
    """Whether somebody takes connections at `host:port`."""
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def cluster_folder(given: str | None = None) -> Path:
    """The folder of the cluster's files: as given, or `$CORPUSMILL_FLINK`, or `~/.corpusmill/flink`."""
    return Path(given or os.environ.get(FOLDER_VARIABLE) or Path.home() / ".corpusmill" / "flink").absolute()


def description_file(folder: Path) -> Path:
    """Where the description lies."""
    return folder / _FILE


def read_cluster(folder: Path | None = None) -> ClusterDescription:
    """The description of the cluster that is up.

    Raises:
        InputError: none is up, or its description is damaged.
    """
    file = description_file(folder or cluster_folder())
    try:
        return ClusterDescription.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"no Flink cluster is up ({file} is missing); start one with `corpusmill flink up`, or set "
            f"{FOLDER_VARIABLE} to the folder that describes yours"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file}: {where}: {first['msg']}; run `corpusmill flink up` again, or mend it") from error
