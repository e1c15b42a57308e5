"""What the ledger keeps beside claims: failures with their causes, what was asked for, and who asked to stop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from flows.backfill.names import expand
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.ledger import Backfill, Failure, ledger_folder
from schemas.storage import Folder

__all__ = ["Ledger"]

_Unit = tuple[str, PartitionKey]


@dataclass(frozen=True)
class Ledger:
    """The ledger of a corpus."""

    root: CorpusRoot

    def _failure_file(self, stage: str, key: PartitionKey) -> tuple[Folder, str]:
        folder = ledger_folder(self.root, "failures", stage, key.source)
        return folder, f"{key.partition.replace('/', '+')}.json"

    @property
    def _asked(self) -> Folder:
        return ledger_folder(self.root, "backfills")

    def failures(self, stages: Iterable[str], source: str) -> dict[_Unit, Failure]:
        """What failed, by unit; a record that cannot be read is none."""
        found: dict[_Unit, Failure] = {}
        for stage in stages:
            folder = ledger_folder(self.root, "failures", stage, source)
            for name in folder.names():
                record = _failure(folder, name)
                if record is not None:
                    found[record.unit] = record
        return found

    def failure(self, stage: str, key: PartitionKey) -> Failure | None:
        """What is known of one unit that failed."""
        return _failure(*self._failure_file(stage, key))

    def put_failure(self, record: Failure) -> None:
        """Remember a failure; only who holds the claim of its unit may.

        Raises:
            OutputError: the corpus cannot be written.
        """
        folder, name = self._failure_file(*record.unit)
        folder.put_whole(name, record.model_dump_json(indent=1).encode())

    def forget_failure(self, stage: str, key: PartitionKey) -> bool:
        """Forget that a unit failed; gives whether it had."""
        folder, name = self._failure_file(stage, key)
        known = folder.exists(name)
        if known:
            folder.remove(name)
        return known

    def begin(self, asked: Backfill) -> Backfill:
        """Write down what is asked for, and take back that it was to stop; gives it as it is now known.

        Raises:
            OutputError: the corpus cannot be written.
        """
        begun = asked.model_copy(update={"asked_at": time.time()})
        self._asked.put_whole(f"{begun.identity()}.json", begun.model_dump_json(indent=1).encode())
        self._asked.remove(f"{begun.identity()}.cancel")
        return begun

    def backfill(self, identity: str) -> Backfill | None:
        """What was asked for under an id; None where nothing is known of it."""
        try:
            return Backfill.model_validate_json(self._asked.read(f"{identity}.json"))
        except (FileNotFoundError, ValidationError):
            return None

    def find(self, stage: str, source: str, partitions: str) -> Backfill:
        """The newest request for these partitions, or for more of which they are a part.

        Raises:
            InputError: there is none.
            ConfigError: the range cannot be read.
        """
        wanted = set(expand(source, partitions))
        names = [name.removesuffix(".json") for name in self._asked.names() if name.endswith(".json")]
        known = [one for name in names if (one := self.backfill(name)) is not None]
        fitting = [
            one
            for one in known
            if (one.stage, one.source) == (stage, source) and wanted <= set(expand(source, one.partitions))
        ]
        if not fitting:
            others = ", ".join(f"{one.stage} {one.source} {one.partitions}" for one in known) or "none"
            raise InputError(
                f"no backfill of {stage} over {source} {partitions} is in the ledger of {self.root.url} (there are: "
                f"{others}); begin it with `corpusmill backfill run`"
            )
        exact = [one for one in fitting if one.partitions == partitions]
        return max(exact or fitting, key=lambda one: one.asked_at).model_copy(update={"partitions": partitions})

    def ask_to_stop(self, backfill: Backfill) -> None:
        """Leave a mark on which whoever works on it stops, on whatever host.

        Raises:
            OutputError: the corpus cannot be written.
        """
        self._asked.put_whole(f"{backfill.identity()}.cancel", b"")

    def asked_to_stop(self, backfill: Backfill) -> bool:
        """Whether the mark is there."""
        return self._asked.exists(f"{backfill.identity()}.cancel")


def _failure(folder: Folder, name: str) -> Failure | None:
    try:
        return Failure.model_validate_json(folder.read(name))
    except (FileNotFoundError, ValidationError):
        return None
