from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from pipelines.garbage import collect, garbage
from pipelines.tokens import mix_stage, tokenize_stage, tokenizer_stage
from schemas.configs.mix import MixConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.configs.tokenizer import TokenizerConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import ManifestError
from schemas.lease import hold_lease

TEXTS = [f"The page number {n} of the book speaks of {n * 7919} things." for n in range(20)]


@pytest.fixture
def corpus(corpus_writer: Any) -> Any:
    """A corpus with documents, a tokenizer, tokens and a mixture: all of it listed."""
    key = corpus_writer.documents("p/1", TEXTS, files=2)
    corpus_writer.tables(key, {"duplicates": corpus_writer.rows("duplicates", 1), "clusters": []})
    for stage, config in (
        (tokenizer_stage, TokenizerConfig(vocabulary_size=300, test=0.2)),
        (tokenize_stage, TokenizeConfig(shard_tokens=200, test=0.2)),
        (mix_stage, MixConfig(sequence_length=16)),
    ):
        stage.run(StageRequest(root=corpus_writer.root, config=config, engine=Engine()))  # type: ignore[attr-defined]
    return corpus_writer


def put(corpus: Any, path: str, content: bytes = b"x") -> str:
    place = Path(corpus.root.url) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return path


def files(corpus: Any) -> set[str]:
    root = Path(corpus.root.url)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_manifests_list_is_no_garbage_and_what_is_not_ours_stays(corpus: Any) -> None:
    assert garbage(corpus.root) == []
    for path in ("notes.txt", "documents/readme.md", "runs/a/config.json", "steps/clean.json", "mixtures/readme.md"):
        put(corpus, path)
    put(corpus, "crawl/own/folder/mine.warc.gz")
    before = files(corpus)
    assert collect(corpus.root) == []
    assert files(corpus) == before


def test_what_nothing_refers_to_goes(corpus: Any) -> None:
    kept = files(corpus)
    left = [
        put(corpus, ".work/clean/web/p+1/0123456789abcdef/spill/a.arrow"),
        put(corpus, ".work/heldout/suite/0123456789abcdef/suite.toml"),
        put(corpus, ".work/leases/clean-00.json", b"not json"),
        put(corpus, "documents/web/p/1/part-00007.parquet"),
        put(corpus, "documents/web/p/1/manifest.json.00ff.tmp"),
        put(corpus, "clusters/web/p/1/part-00000.parquet"),  # its manifest lists no such file
        put(corpus, "dropped/web/never/part-00000.parquet"),  # its unit was killed before the manifest
        put(corpus, "tokens/bpe/test/web/p/1/shard-00077.arrow"),
        put(corpus, "tokens/other/train/web/p/1/shard-00000.arrow"),
        put(corpus, "tokenizers/bpe/tokenizer.json.00ff.tmp"),
        put(corpus, "tokenizers/half/tokenizer.json"),
        put(corpus, "benchmarks/half/items.parquet"),
        put(corpus, "ngrams/half/postings.arrow"),
        put(corpus, "clean-dirty/half/qa.jsonl"),
        put(corpus, "mixtures/mix.json.00ff.tmp"),
    ]
    assert collect(corpus.root, dry_run=True) == garbage(corpus.root) == sorted(left)
    assert files(corpus) == kept | set(left)
    assert collect(corpus.root) == sorted(left)
    assert files(corpus) == kept


def test_warc_files_beside_a_manifest_that_does_not_list_them_go(corpus: Any) -> None:
    manifest = json.loads((Path(corpus.root.url) / "documents/web/p/1/manifest.json").read_text())
    listed = {"rows": 1, "digest": "", "files": [{"name": "part-00000.warc.gz", "rows": 1, "bytes": 1}]}
    put(corpus, "crawl/web/p/1/manifest.json", json.dumps({**manifest, "tables": {"crawl": listed}}).encode())
    put(corpus, "crawl/web/p/1/part-00000.warc.gz")
    old = put(corpus, "crawl/web/p/1/part-00001.warc.gz")
    assert collect(corpus.root) == [old]


@contextlib.contextmanager
def held(corpus: Any, stage: str, source: str, partition: str) -> Iterator[None]:
    with hold_lease(corpus.root, stage, PartitionKey(source, partition)):
        yield


def test_what_a_live_run_works_on_is_spared(corpus: Any) -> None:
    mine = [
        put(corpus, ".work/clean/web/p+1/0123456789abcdef/spill/a.arrow"),
        put(corpus, "documents/web/p/1/part-00007.parquet"),  # being committed
        put(corpus, "dropped/web/p/1/part-00007.parquet"),
    ]
    other = put(corpus, "documents/web/p/10/part-00000.parquet")
    with held(corpus, "clean", "web", "p/1"):
        assert garbage(corpus.root) == [other]
    names = [
        put(corpus, ".work/tokenizer/new/0123456789abcdef/tokenizer.json"),
        put(corpus, "tokenizers/new/tokenizer.json"),
    ]
    plan = put(corpus, "mixtures/mix.json.00ff.tmp")
    with held(corpus, "tokenizer", "new", ""), held(corpus, "mix", "mixtures", "mix"):
        assert garbage(corpus.root) == sorted([*mine, other])
    assert collect(corpus.root) == sorted([*mine, other, *names, plan])


def test_a_damaged_manifest_stops_it_before_anything_is_removed(corpus: Any) -> None:
    put(corpus, ".work/clean/web/p+1/0123456789abcdef/spill/a.arrow")
    put(corpus, "documents/web/p/1/manifest.json", b"{")
    before = files(corpus)
    with pytest.raises(ManifestError, match=r"documents/web/p/1/manifest.json is damaged"):
        collect(corpus.root)
    assert files(corpus) == before


def test_an_empty_corpus_has_no_garbage(corpus_root: Any) -> None:
    assert garbage(corpus_root) == []
