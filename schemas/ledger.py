"""The ledger of a corpus: who works on which unit, what failed and why, and which backfills were asked for.

<root>/ledger/claims/<stage>+<source>+<partition>.<n>.json     who works on a unit now; the highest n counts
<root>/ledger/failures/<stage>/<source>/<partition>.json       how often a unit failed, and the last cause
<root>/ledger/backfills/<id>.json                              what was asked for; <id>.cancel asks to stop
<root>/ledger/manifests.tsv                                    what manifests say, so that plans read one file

Manifests alone say what is done. A ledger that is lost costs the causes of failures and the time of reading all
manifests once. A slash in the name of a partition is written `+`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import fingerprint
from schemas.storage import Folder

__all__ = ["BACKFILL_STAGES", "REPROCESS", "Backfill", "ClaimRecord", "Failure", "Reprocess", "ledger_folder"]

LEDGER_VERSION = 1

# `corpus` is the chain of all stages that a partition goes through after it was crawled.
BACKFILL_STAGES = ("crawl", "clean", "dedup", "decontaminate", "tokenize", "corpus")

Reprocess = Literal["none", "failed", "stale", "completed"]
# Each of these takes in what those before it do.
REPROCESS: tuple[Reprocess, ...] = ("none", "failed", "stale", "completed")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = LEDGER_VERSION


class Backfill(_Record):
    """What was asked for: enough to go on with it, by whoever and wherever."""

    stage: str = Field(description="one of BACKFILL_STAGES")
    source: str
    partitions: str = Field(description="as given, `2026-01..2026-12`")
    inputs: tuple[str, ...] = Field(default=(), description="may hold {source} and {partition}")
    evaluations: tuple[str, ...] = ()
    seed_urls: tuple[str, ...] = Field(default=(), description="may hold {source} and {partition}")
    config: str | None = Field(default=None, description="a TOML file")
    overrides: tuple[str, ...] = Field(default=(), description="key=value; STAGE.key=value where the stage is corpus")
    seed: int | None = None
    runner: str = "local"
    workers: int | None = None
    reprocess: Reprocess = "stale"
    max_active: int = 1
    max_attempts: int = 3
    backwards: bool = False
    retry_seconds: float = Field(default=5.0, description="before the first retry; twice as long before each other")
    asked_at: float = Field(default=0.0, description="when it was last run or resumed")

    def identity(self) -> str:
        """Twelve characters that are equal for requests of the same work."""
        work = self.model_dump(
            mode="json",
            include={
                "stage",
                "source",
                "partitions",
                "inputs",
                "evaluations",
                "seed_urls",
                "config",
                "overrides",
                "seed",
            },
        )
        return fingerprint(work)[:12]


class ClaimRecord(_Record):
    """Who works on a unit."""

    stage: str
    source: str
    partition: str
    backfill: str
    host: str
    pid: int
    start: str | None = Field(description="tells the process from a later one of the same pid")
    renewed_at: float = Field(description="for those on other hosts, who cannot see whether the process lives")
    run: str = Field(default="", description="of Prefect, where one does the work")

    @property
    def unit(self) -> tuple[str, PartitionKey]:
        """The stage and the partition."""
        return self.stage, PartitionKey(self.source, self.partition)


class Failure(_Record):
    """What is known of a unit that failed; gone once it is done or tried anew from the beginning."""

    stage: str
    source: str
    partition: str
    attempts: int
    cause: str = Field(description="the line that the stage ended with")
    error: str = Field(description="class of the error; `signal 9` where one ended it")
    can_help: bool = Field(description="whether doing the same once more may go well")
    failed_at: float
    backfill: str
    asked: str = Field(description="hash of what was asked for; a failure of another request does not count")

    @property
    def unit(self) -> tuple[str, PartitionKey]:
        """The stage and the partition."""
        return self.stage, PartitionKey(self.source, self.partition)


def ledger_folder(root: CorpusRoot, *parts: str) -> Folder:
    """A folder of the ledger."""
    return root.folder.child("ledger", *parts)
