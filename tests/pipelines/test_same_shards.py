"""The same items in other files give the same shards, through all stages; `make prove shards` does so at length."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from same_rows import resharded, shard_digest, shard_files

from pipelines.cleaning import stage as clean
from pipelines.corpus_digest import corpus_digest
from pipelines.decontamination import stage as decontaminate
from pipelines.dedup import stage as dedup
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.tokens import tokenize_stage, tokenizer_stage
from schemas.catalog import manifest_of
from schemas.configs.clean import CleanConfig
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.configs.dedup import DedupConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

KEY = PartitionKey("pages", "one")
LEAK = "In which year did the miller of the old valley near the river sell the last wheel of his mill to a stranger"


def write_inputs(data: Path, folder: Path) -> Path:
    """A WARC file, a book, and lines of which one holds a question and some repeat."""
    folder.mkdir()
    shutil.copy(data / "warc" / "ukwa" / "BL-20140325122341434-00000-32090~opera~8443.warc.gz", folder)
    shutil.copy(data / "text" / "books" / "the-time-machine.md.gz", folder)
    filler = "The mill of number {} ran day and night until the river froze over. " * 20
    texts = [filler.format(*[number % 30] * 20) for number in range(50)]
    texts[7] += f"{LEAK}? " + filler
    lines = [json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts)]
    (folder / "lines.jsonl").write_text("".join(lines))
    return folder


def make_corpus(root: CorpusRoot, inputs: Path, items: Path) -> None:
    about: dict[str, Any] = {"root": root, "engine": Engine()}
    pages = {"source": KEY.source, "partition": KEY.partition, "inputs": (str(inputs),)}
    clean.run(StageRequest(config=CleanConfig(rules=(), extractor="resiliparse"), **pages, **about))
    dedup.run(StageRequest(config=DedupConfig(), **about))
    decontaminate.run(StageRequest(config=DecontaminateConfig(), inputs=(str(items),), **about))
    tokenizer_stage.run(StageRequest(config=TokenizerConfig(vocabulary_size=500, sample_bytes=100_000), **about))
    tokenize_stage.run(StageRequest(config=TokenizeConfig(shard_tokens=30_000), **about))


@pytest.mark.slow
def test_other_files_in_another_order_give_the_same_shards(shared_data: Path, tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"id": "1", "question": LEAK}))
    plain = write_inputs(shared_data, tmp_path / "plain")
    mixed = resharded(plain, tmp_path / "mixed", 3)
    assert len([path for path in mixed.rglob("*") if path.is_file()]) == 11
    corpora = {}
    for inputs in (plain, mixed):
        root = CorpusRoot(str(tmp_path / "corpus" / inputs.name))
        make_corpus(root, inputs, items)
        decided = manifest_of(root, "contaminated", KEY)
        assert decided is not None
        assert decided.counts["cut_documents"] == 1
        corpora[inputs.name] = corpus_digest(root).total, shard_digest(Path(root.url))
        assert len(shard_files(Path(root.url))) > 3
    assert corpora["plain"] == corpora["mixed"]
