"""Evaluation files, and calls of the stage on a corpus under test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipelines.decontamination.stage import pending, run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest, StageResult
from schemas.catalog import read_table
from schemas.clean_dirty import ItemOverlap, read_overlaps
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.corpus_root import CorpusRoot, PartitionKey


@dataclass(frozen=True)
class Decontamination:
    """The stage on one corpus; settings as keywords."""

    root: CorpusRoot
    folder: Path

    def evaluation(self, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
        """Write an evaluation set as JSONL."""
        path = self.folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    def request(self, inputs: Sequence[str], workers: int = 1, partition: str | None = None, **settings: Any) -> Any:
        config = DecontaminateConfig(**settings)
        engine = Engine(workers=workers)
        return StageRequest(
            root=self.root, config=config, engine=engine, inputs=tuple(inputs), partition=partition, source=None
        )

    def run(self, *inputs: str, **about: Any) -> StageResult:
        return run(self.request(inputs, **about))

    def pending(self, *inputs: str, **about: Any) -> int:
        return pending(self.request(inputs, **about))

    def rows(self, key: PartitionKey) -> list[dict[str, Any]]:
        return read_table(self.root, "contaminated", key).to_pylist()

    def overlaps(self, task: str, name: str = "benchmarks") -> dict[str, ItemOverlap]:
        found = read_overlaps(self.root.folder.child("clean-dirty", name), task)
        assert found is not None
        return found

    def statuses(self, task: str) -> dict[str, str]:
        return {id_: one.status for id_, one in self.overlaps(task).items()}


@pytest.fixture
def decontamination(corpus_root: CorpusRoot, tmp_path: Path) -> Decontamination:
    """The stage on `corpus_root`."""
    return Decontamination(corpus_root, tmp_path / "evaluation")
