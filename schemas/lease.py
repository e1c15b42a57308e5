"""A lease keeps two live runs from working on one unit at the same time.

The lease is a file created exclusively; it names host, process and the start time of the process, and is renewed by
its modification. A lease whose process is gone on this host, or that has not been renewed for `LEASE_SECONDS`, is
taken over: after SIGKILL the next run goes on at once.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LeaseError
from schemas.identity import content_hash

__all__ = ["LEASE_SECONDS", "hold_lease", "process_start"]

LEASE_SECONDS = 6 * 3600  # longer than the slowest unit of the main job; only for holders on other hosts


def process_start(pid: int) -> str | None:
    """A word that tells this process from a later one with the same pid; None where no such process runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
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


def _is_live(holder: dict[str, object]) -> bool:
    if holder.get("host") == socket.gethostname():
        return process_start(int(str(holder["pid"]))) == holder.get("start")
    return time.time() - float(str(holder["taken_at"])) < LEASE_SECONDS


@contextmanager
def hold_lease(root: CorpusRoot, stage: str, key: PartitionKey) -> Iterator[None]:
    """Hold the lease of one unit while the body runs.

    Raises:
        LeaseError: another live process holds it.
    """
    folder = root.lease_folder()
    name = f"{stage}-{content_hash(f'{stage} {key}').hex()}.json"
    mine = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "taken_at": time.time(),
        "unit": f"{stage} {key}",
    }
    data = json.dumps(mine).encode()
    while not folder.create_exclusive(name, data):
        try:
            holder = json.loads(folder.read(name))
        except FileNotFoundError:
            continue
        except json.JSONDecodeError:
            holder = {"host": socket.gethostname(), "pid": -1}  # its writer was killed while writing it
        if holder.get("pid") == -1 or not _is_live(holder):
            folder.remove(name)
            continue
        raise LeaseError(
            f"{stage} of {key} is being worked on by process {holder['pid']} on {holder['host']}; "
            "wait for it or stop it, then run the same command again"
        )
    try:
        yield
    finally:
        folder.remove(name)
