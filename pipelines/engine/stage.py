"""What every stage of `corpusmill run` looks like from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic

from pipelines.engine.settings import Engine
from pipelines.engine.unit import UnitOutcome
from schemas.catalog import units
from schemas.configs.base import ConfigT
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError

__all__ = ["StageRequest", "StageResult"]


@dataclass(frozen=True, kw_only=True)
class StageRequest(Generic[ConfigT]):
    """One call of a stage: `run(request) -> StageResult` in the stage's module.

    `source` and `partition` narrow a stage over committed tables to one partition; for crawl and clean, which make
    partitions, both are given. `inputs` are the paths or URLs that clean reads.
    """

    root: CorpusRoot
    config: ConfigT
    engine: Engine
    source: str | None = None
    partition: str | None = None
    inputs: tuple[str, ...] = ()

    def key(self) -> PartitionKey:
        """The partition that the stage makes.

        Raises:
            InputError: source or partition is missing.
        """
        if not self.source or not self.partition:
            raise InputError("give --source NAME and --partition NAME: they name what the stage writes")
        return PartitionKey(self.source, self.partition).checked()

    def selected(self, table: str) -> list[PartitionKey]:
        """Committed partitions of `table` that were asked for, in partition order.

        Raises:
            InputError: there is none.
        """
        keys = [
            key
            for key in units(self.root, table)
            if (self.source is None or key.source == self.source)
            and (self.partition is None or key.partition == self.partition)
        ]
        if not keys:
            wanted = "/".join(part for part in (self.source, self.partition) if part) or "any partition"
            raise InputError(f"no {table} of {wanted} in {self.root.url}; run the stage that writes {table} first")
        return keys


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage did: one outcome per unit, in the order in which they were done.

    `changed` are partitions that had been done before and whose rows are others now, so that later stages are stale;
    `outdated` are those that were not asked for and whose rows do not hold any more.
    """

    stage: str
    outcomes: tuple[UnitOutcome, ...] = field(default=())
    changed: tuple[PartitionKey, ...] = ()
    outdated: tuple[PartitionKey, ...] = ()

    @property
    def done(self) -> int:
        """Units done now."""
        return sum(outcome.status == "done" for outcome in self.outcomes)

    @property
    def skipped(self) -> int:
        """Units that were done before."""
        return sum(outcome.status == "skipped" for outcome in self.outcomes)
