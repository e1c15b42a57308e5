"""The same items in other files, or on S3 with faults, give the same rows; `make prove` does so at length."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fault_proxy import FAULTS, fault_proxy
from s3_server import S3_SECRET, s3_environment, s3_server
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

pytestmark = pytest.mark.slow
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


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test set with one question."""
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    path.write_text(json.dumps({"id": "1", "question": LEAK}))
    return path


@pytest.fixture(scope="module")
def plain(shared_data: Path, items: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusRoot]:
    """Input files, and the corpus that was made of them."""
    folder = tmp_path_factory.mktemp("plain")
    inputs = write_inputs(shared_data, folder / "inputs")
    root = CorpusRoot(str(folder / "corpus"))
    make_corpus(root, inputs, items)
    assert len(shard_files(folder / "corpus")) > 3
    return inputs, root


def cut_documents(root: CorpusRoot) -> int:
    decided = manifest_of(root, "contaminated", KEY)
    return decided.counts["cut_documents"] if decided else 0


def test_other_files_in_another_order_give_the_same_shards(
    plain: tuple[Path, CorpusRoot], items: Path, tmp_path: Path
) -> None:
    inputs, root = plain
    mixed = resharded(inputs, tmp_path / "mixed", 3)
    assert len([path for path in mixed.rglob("*") if path.is_file()]) == 11
    other = CorpusRoot(str(tmp_path / "corpus"))
    make_corpus(other, mixed, items)
    assert cut_documents(other) == cut_documents(root) == 1
    assert corpus_digest(other).total == corpus_digest(root).total
    assert shard_digest(Path(other.url)) == shard_digest(Path(root.url))


def test_a_corpus_on_s3_is_the_same_whatever_gets_lost_on_the_way(
    plain: tuple[Path, CorpusRoot], items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, root = plain
    with s3_server("corpora") as endpoint, fault_proxy(endpoint, share=0.1) as proxy:
        for name, value in s3_environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        other = CorpusRoot("s3://corpora/one")
        make_corpus(other, inputs, items)
        assert cut_documents(other) == 1
        assert corpus_digest(other).by_table == corpus_digest(root).by_table
        assert set(proxy.failed) == set(FAULTS)
        assert proxy.requests["PutObject"] > 20
        store = fsspec.filesystem("s3")
        objects = store.find("corpora/one")
        assert any(name.endswith("manifest.json") for name in objects)
        assert not [name for name in objects if S3_SECRET.encode() in store.cat_file(name)]
    fsspec.get_filesystem_class("s3").clear_instance_cache()
