"""A lease keeps two live runs from working on one unit at the same time.

A lease is a file that names host, process and start time of the process that holds it. One whose process is gone on
this host, or that is older than `LEASE_SECONDS` and of another host, is taken over: after SIGKILL the next run goes on
at once. Looking at a lease and taking it are one step under a lock of the file system; object stores have no such
lock, and two runs that start there within the same moment are not kept apart.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LeaseError, OutputError
from schemas.foreign_text import parse_json
from schemas.identity import content_hash
from schemas.storage import Folder

__all__ = ["LEASE_SECONDS", "Leases", "hold_lease", "no_new_leases", "process_start", "read_leases"]

LEASE_SECONDS = 6 * 3600  # longer than the slowest unit of the main job; only for holders on other hosts
_GUARD = "guard"


def process_start(pid: int) -> str | None:
    """A word that tells this process from a later one with the same pid; None where no such process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return "alive"
        return "alive"
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _holder(content: bytes) -> dict[str, Any] | None:
    """What a lease says of the live process that holds it; None where nobody does."""
    try:
        holder = dict(parse_json(content))
        _ = holder["stage"], holder["source"], holder["partition"]
        if holder["host"] == socket.gethostname():
            live = process_start(int(holder["pid"])) == holder["start"]
        else:
            live = time.time() - float(holder["taken_at"]) < LEASE_SECONDS
    except (ValueError, TypeError, KeyError, OverflowError):  # damaged, as after a power failure
        return None
    return holder if live else None


def _read(folder: Folder, name: str) -> bytes:
    try:
        return folder.read(name)
    except FileNotFoundError:
        return b""


@contextmanager
def _guarded(folder: Folder) -> Iterator[None]:
    folder.make()
    if not folder.is_local:
        yield
        return
    try:
        descriptor = os.open(folder.path(_GUARD), os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise OutputError(f"cannot write to {folder.url}: {error}; give a folder that you may write") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Leases:
    """Leases of a corpus: `held` by live processes, as (stage, partition), and names of files that nobody holds."""

    held: tuple[tuple[str, PartitionKey], ...]
    left: tuple[str, ...]


def read_leases(root: CorpusRoot) -> Leases:
    """All leases of a corpus as they are at this moment."""
    folder = root.lease_folder()
    held, left = [], []
    for name in folder.names():
        if name == _GUARD:
            continue
        holder = _holder(_read(folder, name))
        if holder is None:
            left.append(name)
        else:
            held.append((str(holder["stage"]), PartitionKey(holder["source"], holder["partition"])))
    return Leases(tuple(held), tuple(left))


@contextmanager
def no_new_leases(root: CorpusRoot) -> Iterator[None]:
    """While the body runs, on a local file system, whoever wants to take or give back a lease waits.

    Raises:
        OutputError: the corpus cannot be written.
    """
    with _guarded(root.lease_folder()):
        yield


@contextmanager
def hold_lease(root: CorpusRoot, stage: str, key: PartitionKey) -> Iterator[None]:
    """Hold the lease of one unit while the body runs.

    Raises:
        LeaseError: another live process holds it.
        OutputError: the corpus cannot be written.
    """
    folder = root.lease_folder()
    name = f"{stage}-{content_hash(f'{stage} {key}').hex()}.json"
    mine = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "taken_at": time.time(),
        "stage": stage,
        "source": key.source,
        "partition": key.partition,
    }
    data = json.dumps(mine).encode()
    with _guarded(folder):
        holder = _holder(_read(folder, name))
        if holder is not None:
            raise LeaseError(
                f"{stage} of {key} is being worked on by process {holder['pid']} on {holder['host']}; "
                "wait for it or stop it, then run the same command again"
            )
        folder.put_whole(name, data)
    try:
        yield
    finally:
        with _guarded(folder):
            if _read(folder, name) == data:
                folder.remove(name)
