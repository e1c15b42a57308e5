"""Corpora whose units were done in name only: the stages' own code decides what is done, and nothing is computed.

A unit that is done leaves a manifest whose digests follow from its fingerprint, as those of a pure function would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from flows.backfill.requests import Asked
from flows.registry import stage_entry
from flows.stage_request import build_request
from pipelines.engine.unit import Unit, UnitOutcome
from schemas.corpus_root import CorpusRoot
from schemas.ledger import Backfill
from schemas.manifest import Manifest, OutputFile, TableRecord, write_manifest
from schemas.token_shard import tokenizer_fingerprint

_FURTHER = {"documents": ("dropped", "dead"), "edges": ("bands",), "duplicates": ("clusters",)}
_FURTHER |= {"overlaps": ("ngram_counts",), "contaminated": ("item_overlaps",)}
_STAGES = ("pipelines.cleaning", "pipelines.dedup", "pipelines.decontamination", "pipelines.crawl")
_MODULES = (*(f"{package}.stage" for package in _STAGES), "pipelines.tokens.tokenize_stage")
QUESTION = (
    '{"question": "How many millers told each other stories about the hungry cats of the river?", "answer": "3"}\n'
)


def commit(unit: Unit, **about: Any) -> Manifest:
    """Write the manifest of a unit as if it had been done."""
    tables = {}
    for name in (unit.table, *_FURTHER.get(unit.table, ())):
        digest = hashlib.blake2b(f"{name} {unit.fingerprint()}".encode(), digest_size=32).hexdigest()
        tables[name] = TableRecord(rows=3, digest=digest, files=(OutputFile(name="part-0", rows=3, bytes=300),))
    manifest = Manifest(
        stage=unit.stage,
        stage_version=unit.version,
        source=unit.key.source,
        partition=unit.key.partition,
        fingerprint=unit.fingerprint(),
        config=unit.config.fingerprint_view(),
        inputs=unit.inputs,
        tables=tables,
        counts={"cut_documents": 1, "dropped_documents": 0},
        notes={"words": {}},
        seconds=2.0,
        workers=2,
        **about,
    )
    write_manifest(unit.folder(), manifest)
    return manifest


def _fake_run_unit(unit: Unit, *_: Any, **__: Any) -> UnitOutcome:
    known = unit.done()
    return UnitOutcome(unit.key, "skipped", known) if known else UnitOutcome(unit.key, "done", commit(unit))


@contextmanager
def nothing_computed() -> Iterator[None]:
    """While the body runs, stages commit their units without doing them."""
    patches = [mock.patch(f"{module}.run_unit", _fake_run_unit) for module in _MODULES]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


class FakeCorpus:
    """A corpus of a source `web`, with raw files in a folder and a set of one question."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.root = CorpusRoot(str(folder / "corpus"))
        self.questions = folder / "questions.jsonl"
        self.questions.write_text(QUESTION)
        self.template = f"{folder}/raw/{{partition}}.txt"

    def raw(self, partition: str, text: str = "a page") -> None:
        """Write the raw file of a partition."""
        path = Path(self.template.format(partition=partition))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def tokenizer(self, name: str = "bpe", text: str = "{}") -> None:
        """Write a frozen tokenizer."""
        folder = self.root.tokenizer_folder(name)
        folder.put_whole("tokenizer.json", text.encode())
        manifest = Manifest(
            stage="tokenizer",
            stage_version=1,
            source=name,
            partition="",
            fingerprint="f",
            config={"test": 0.5, "validation": 0.4},
            inputs=(),
            tables={},
            counts={"vocabulary_size": 300, "end_of_text": 0},
            notes={"fingerprint": tokenizer_fingerprint(text.encode())},
        )
        write_manifest(folder, manifest)

    def asked(self, stage: str, partitions: str, **about: Any) -> Asked:
        """A backfill of it."""
        if stage in ("clean", "corpus"):
            about.setdefault("inputs", (self.template,))
        if stage in ("decontaminate", "corpus"):
            about.setdefault("evaluations", (str(self.questions),))
        return Asked(self.root, Backfill(stage=stage, source="web", partitions=partitions, **about))

    def request(self, stage: str, partition: str | None, overrides: tuple[str, ...] = ()) -> Any:
        """What `corpusmill run STAGE` would be asked for."""
        inputs: tuple[str, ...] = ()
        if stage == "clean":
            inputs = (self.template.format(partition=partition),)
        if stage == "decontaminate":
            inputs = (str(self.questions),)
        request = build_request(
            stage, self.root.url, source="web", partition=partition, workers=1, overrides=list(overrides)
        )
        return type(request)(**{**vars(request), "inputs": inputs})

    def run(self, stage: str, partition: str | None, overrides: tuple[str, ...] = ()) -> Any:
        """The stage's own `run`, without its work."""
        with nothing_computed():
            return stage_entry(stage).run(self.request(stage, partition, overrides))

    def is_done(self, stage: str, partition: str | None, overrides: tuple[str, ...] = ()) -> bool:
        """What the stage itself says."""
        return stage_entry(stage).is_done(self.request(stage, partition, overrides))

    def chain(self, *partitions: str) -> None:
        """Take partitions through the whole chain."""
        for partition in partitions:
            self.raw(partition)
        for stage in ("clean", "dedup", "decontaminate", "tokenize"):
            for partition in partitions:
                self.run(stage, partition)
