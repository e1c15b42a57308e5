"""Claims: which process works on which unit. Taken by an exclusive create, and over from a process that is gone.

Each claim of a unit has a number of its own, and the highest counts, so that a claim is taken over by making the next
one: of two who try, one makes it. A claim keeps others from the same work, no more than that: the stage's own lease
and its manifest see to it that a partition is committed once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.exclusive import create_file
from schemas.lease import process_start
from schemas.ledger import ClaimRecord, ledger_folder
from schemas.storage import Folder

__all__ = ["CLAIM_SECONDS", "RENEW_SECONDS", "Claim", "Claims", "is_live"]

# How long a claim of a process on another host holds after it was last renewed.
CLAIM_SECONDS = 180.0
RENEW_SECONDS = 30.0
_TRIES = 5


def is_live(record: ClaimRecord) -> bool:
    """Whether the process that made a claim is still there, as far as can be told from here."""
    if record.host == socket.gethostname():
        return process_start(record.pid) == record.start
    return time.time() - record.renewed_at < CLAIM_SECONDS


def _number(name: str) -> int:
    number = name.removesuffix(".json").rpartition(".")[2]
    return int(number) if number.isdigit() else 0


def _is_of(name: str, prefix: str) -> bool:
    """Whether a file is a claim of the unit; another one's name may begin in the same way, as 2026 and 2026.1 do."""
    stem = name.removesuffix(".json")
    return stem != name and stem.startswith(prefix) and stem.removeprefix(prefix).isdigit()


def _read(folder: Folder, name: str) -> ClaimRecord | None:
    try:
        return ClaimRecord.model_validate_json(folder.read(name))
    except (FileNotFoundError, ValidationError):  # given back meanwhile, or damaged as after a power failure
        return None


@dataclass
class Claim:
    """A claim of this process."""

    folder: Folder
    name: str
    record: ClaimRecord
    renewed: float

    def renew(self) -> None:
        """Tell other hosts that the work goes on; nothing happens where they were told just now.

        Raises:
            OutputError: the corpus cannot be written.
        """
        if time.monotonic() - self.renewed >= RENEW_SECONDS:
            self.renewed = time.monotonic()
            self.record = self.record.model_copy(update={"renewed_at": time.time()})
            self.folder.put_whole(self.name, self.record.model_dump_json().encode())

    def release(self) -> None:
        """Give it back."""
        self.folder.remove(self.name)


@dataclass(frozen=True)
class Claims:
    """The claims of a corpus."""

    root: CorpusRoot

    @property
    def _folder(self) -> Folder:
        return ledger_folder(self.root, "claims")

    def _of_unit(self, prefix: str) -> list[tuple[str, ClaimRecord | None]]:
        """Claims of a unit by name, that with the highest number last."""
        names = sorted((name for name in self._folder.names() if _is_of(name, prefix)), key=_number)
        return [(name, _read(self._folder, name)) for name in names]

    def take(self, stage: str, key: PartitionKey, backfill: str, run: str = "") -> Claim | None:
        """Claim a unit; None where another live process holds it.

        Raises:
            OutputError: the corpus cannot be written.
        """
        prefix = f"{stage}+{key.source}+{key.partition.replace('/', '+')}."
        record = ClaimRecord(
            stage=stage,
            source=key.source,
            partition=key.partition,
            backfill=backfill,
            host=socket.gethostname(),
            pid=os.getpid(),
            start=process_start(os.getpid()),
            renewed_at=time.time(),
            run=run,
        )
        data = record.model_dump_json().encode()
        for _ in range(_TRIES):
            found = self._of_unit(prefix)
            if any(one is not None and is_live(one) for _, one in found):
                return None
            name = f"{prefix}{_number(found[-1][0]) + 1 if found else 1}.json"
            if not create_file(self._folder, name, data):
                continue
            # Who was slow between looking and making may have missed a claim that came and one that went.
            others = [(one, held) for one, held in self._of_unit(prefix) if one != name]
            if any(held is not None and is_live(held) for _, held in others):
                self._folder.remove(name)
                return None
            for one, _ in others:
                self._folder.remove(one)
            return Claim(self._folder, name, record, time.monotonic())
        return None

    def all(self) -> Iterator[tuple[str, ClaimRecord]]:
        """Every claim that can be read, by the name of its file."""
        for name in self._folder.names():
            record = _read(self._folder, name)
            if record is not None:
                yield name, record

    def held(self) -> dict[tuple[str, PartitionKey], ClaimRecord]:
        """The claims of live processes, by unit."""
        return {record.unit: record for _, record in self.all() if is_live(record)}

    def sweep(self) -> None:
        """Remove the claims of processes that are gone."""
        for name, record in self.all():
            if not is_live(record):
                self._folder.remove(name)
