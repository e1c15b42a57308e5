"""What a check found, and what checks look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.corpus_root import CorpusRoot

__all__ = ["Check", "Finding", "Patient", "fail", "ok", "warn"]


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        name: of the check.
        result: `ok`, `warn` (it works, and may surprise) or `fail` (it does not work, or will not).
        seen: what was seen.
        remedy: what to do.
        issues: where others met it: P is PrefectHQ/prefect, B apache/beam.
    """

    name: str
    result: Literal["ok", "warn", "fail"]
    seen: str
    remedy: str = ""
    issues: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patient:
    """What is looked at beside the machine.

    Attributes:
        home: of a Prefect server.
        cluster: the folder of a Flink cluster.
        root: a corpus, if one was given.
    """

    home: Path
    cluster: Path
    root: CorpusRoot | None = None


Check = Callable[[Patient], Iterable[Finding]]


def ok(name: str, seen: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", seen)


def warn(name: str, seen: str, remedy: str, *issues: str) -> Finding:
    """It works, and may surprise."""
    return Finding(name, "warn", seen, remedy, issues)


def fail(name: str, seen: str, remedy: str, *issues: str) -> Finding:
    """It does not work, or will not."""
    return Finding(name, "fail", seen, remedy, issues)
