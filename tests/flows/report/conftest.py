"""Corpora and runs made by hand, in the formats that the stages write."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.receipts import Receipt, write_receipt
from pipelines.engine.staging import stage_parquet
from schemas.configs.model import ModelConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import Manifest, OutputFile, TableRecord, write_manifest
from schemas.run import RunConfig, write_run
from schemas.tables import TABLES

KEY = PartitionKey("pydoc", "2026-11")


def document_id(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def commit(root: CorpusRoot, stage: str, first: str, rows: dict[str, list[dict[str, Any]]], **more: Any) -> None:
    """Write tables and the manifest of a unit; tables that are no Parquet tables get a count of rows alone."""
    records = {}
    for table, content in rows.items():
        files = ()
        if table in TABLES:
            schema = TABLES[table]
            whole = [{**dict.fromkeys(schema.names), **row} for row in content]
            folder = root.partition_folder(table, KEY)
            staged = stage_parquet(folder, "part-00000.parquet", pa.Table.from_pylist(whole, schema=schema))
            files = (OutputFile(name=staged.name, rows=staged.rows, bytes=staged.bytes),)
        records[table] = TableRecord(rows=len(content), digest="0", files=files)
    key = more.pop("key", KEY)
    manifest = Manifest(
        stage=stage,
        stage_version=1,
        source=key.source,
        partition=key.partition,
        fingerprint="0",
        config={},
        inputs=(),
        tables=records,
        **{"seconds": 1.5, "peak_rss_bytes": 300_000_000, **more},
    )
    write_manifest(root.partition_folder(first, key), manifest)


_SENTENCE = "the module offers a function that reads every line of a file and gives back what it found there"


def _text(number: int) -> str:
    words = _SENTENCE.split()
    return " ".join(words[(number + place) % len(words)] for place in range(120)) + f" ({number})"


def commit_documents(root: CorpusRoot, documents: int = 40, title: str = "A page") -> None:
    """Documents, pages dropped by two rules, and one dead letter."""
    where = {"source": KEY.source, "partition": KEY.partition}
    kept = [
        {
            **where,
            "document_id": document_id(number),
            "content_hash": document_id(1000 + number),
            "text": _text(number),
            "title": f"{title} {number}",
            "url": f"http://127.0.0.1/{number}.html",
            "scores": [],
        }
        for number in range(documents)
    ]
    kept[1]["text"] = kept[0]["text"].replace("function", "method", 3)
    dropped = [
        {**where, "rules": rules, "unevaluated": [], "scores": []}
        for rules in (["language", "length"], ["language"], ["length"], ["length"])
    ]
    dead = [{**where, "stage": "clean", "error": "truncated-record", "message": "cut"}]
    reasons = {"dropped.language": 2, "dropped.length": 2, "dead.truncated-record": 1}
    counts = {"items": documents + 5, "documents": documents, "dropped": 4, "dead": 1, **reasons}
    tables = {"documents": kept, "dropped": dropped, "dead": dead}
    commit(root, "clean", "documents", tables, counts=counts, seconds=42.0)


def commit_duplicates(root: CorpusRoot) -> None:
    """One near copy, two exact ones, and another version by its URL."""
    common = {
        "removed_source": KEY.source,
        "removed_partition": KEY.partition,
        "kept_source": KEY.source,
        "kept_partition": KEY.partition,
        "config": "0",
    }
    rows = [
        {**common, "removed_id": document_id(1), "kept_id": document_id(0), "similarity": 0.91, "level": "near"},
        {**common, "removed_id": document_id(3), "kept_id": document_id(2), "similarity": 1.0, "level": "exact"},
        {**common, "removed_id": document_id(4), "kept_id": document_id(2), "similarity": 1.0, "level": "exact"},
        {**common, "removed_id": document_id(5), "kept_id": document_id(2), "similarity": 0.2, "level": "url"},
    ]
    counts = {"documents": 40, "url_removed": 1, "exact_removed": 2, "near_removed": 1}
    commit(root, "dedup", "duplicates", {"duplicates": rows}, counts=counts)


def commit_tokens(root: CorpusRoot) -> None:
    """A tokenizer, and its shards' counts."""
    fertility = {
        "source": "pydoc",
        "documents": 9,
        "words": 900,
        "tokens": 1300,
        "utf8_bytes": 5200,
        "tokens_per_word": 1.4444,
        "bytes_per_token": 4.0,
    }
    commit(
        root,
        "tokenizer",
        "tokenizers",
        {"tokenizers": []},
        key=PartitionKey("bpe", ""),
        counts={"vocabulary_size": 4096, "end_of_text": 4095, "sample_documents": 36, "sample_bytes": 123_456},
        notes={"fertility": [fertility], "longest_tokens": [" NotImplementedError", "----------------"]},
    )
    sizes = {"train": (33, 120_000), "validation": (2, 6_000), "test": (2, 7_000)}
    counts = {f"documents_{split}": size[0] for split, size in sizes.items()}
    counts |= {f"tokens_{split}": size[1] for split, size in sizes.items()}
    tables: dict[str, list[dict[str, Any]]] = {f"tokens/bpe/{split}": [] for split in sizes}
    notes = {"encoder": "tiktoken 0.9", "encoders_refused": {"gigatoken": "not installed"}}
    commit(root, "tokenize", "tokens/bpe/train", tables, counts=counts, notes=notes)


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _score(task: str, kind: str, metric: str, shots: int, value: float, chance: float, **more: Any) -> dict[str, Any]:
    facts = {"task": task, "kind": kind, "shots": shots, "metric": metric, "value": value, "chance": chance}
    return {**facts, "standard_error": 0.03, "n": 150, "groups": 40, "untrained": 0.9 * chance, **more}


def make_run(folder: Path, steps: int = 300) -> str:
    """A training run with its curves, samples and scores."""
    folder.mkdir()
    model = ModelConfig(vocabulary_size=4096, context=128, layers=4, heads=4, width=128, band=32)
    config = RunConfig(
        root="corpus", mixture="m", plan_digest="0", tokenizer="bpe", end_of_text=4095, model=model, seed=0, settings={}
    )
    write_run(str(folder), config)
    rows = []
    for step in range(1, steps + 1):
        loss = 3.2 + 5.1 * math.exp(-step / 60) + 0.15 * math.sin(step * 12.9898)
        row = {"step": step, "tokens": step * 4096, "loss": loss, "learning_rate": 1e-3 * min(1, step / 30)}
        rows.append({**row, "seconds": 0.4, **({"validation_loss": loss + 0.2} if step % 50 == 0 else {})})
    _lines(folder / "metrics.jsonl", rows)
    samples = [{"step": step, "prompt": "The module", "text": f" offers {step}\nlines"} for step in (100, 200, 300)]
    _lines(folder / "samples.jsonl", [*samples, {"step": 300, "prompt": "", "text": "Help on class"}])
    bytes_ = {"loss": 3.3, "perplexity": 27.1, "bigram_loss": 4.6, "bigram_bits_per_byte": 1.66, "untrained_loss": 8.3}
    scores = [
        _score("perplexity", "perplexity", "bits_per_byte", 0, 1.19, 3.0, others=bytes_, untrained=3.01, n=7000),
        *(_score("signature-choice", "multiple_choice", "accuracy", n, 0.4 + 0.02 * n, 0.25) for n in (0, 1, 6)),
        *(_score("last-word", "generation", "exact_match", n, 0.05 + 0.01 * n, 0.02) for n in (0, 1, 6)),
    ]
    result = {"fingerprint": "0", "suite": "heldout", "run": "r", "kind": "train", "step": steps, "mixture": "m"}
    (folder / "scores").mkdir()
    whole = {**result, "parameters": 1_400_000, "scores": scores, "seconds": 12.0}
    (folder / "scores" / f"heldout-step-{steps}.json").write_text(json.dumps(whole))
    (folder / "scores" / f"heldout-step-{steps}-items.jsonl").write_text("{}\n")
    return str(folder)


def make_finetuned(folder: Path) -> str:
    """A fine-tuning run with its scores and answers."""
    folder.mkdir()

    def change(before: float, after: float) -> dict[str, Any]:
        estimate = {"standard_error": 0.02, "n": 200, "groups": 60}
        values = {"before": before, "after": after, "change": after - before}
        return {name: {**estimate, "value": value} for name, value in values.items()}

    scores = {"exact_match": change(0.0, 0.21), "token_f1": change(0.08, 0.44), "answer_loss": change(4.1, 1.9)}
    facts = {"steps": 250, "pairs": 4000, "test_pairs": 200, "scores": scores, "seconds": 61.0, "base": "r"}
    (folder / "finetune.json").write_text(json.dumps(facts))
    score = {"exact_match": 0.0, "token_f1": 0.0, "answer_loss": 1.0}
    item = {"prompt": "json.dumps", "answer": "serialize <obj>", "before": {"generated": "of the", **score}}
    _lines(folder / "finetune-items.jsonl", [{**item, "after": {"generated": "serialize obj", **score}}] * 8)
    return str(folder)


def make_receipts(root: CorpusRoot) -> None:
    """What a flow writes about its steps."""
    seconds = {
        "clean": 44.0,
        "dedup": 9.1,
        "pretrain": 131.0,
        "evaluate": 19.5,
        "finetune": 66.0,
        "digest": 1.2,
        "report": 5.0,
    }
    for step, value in seconds.items():
        result = {"digest": "ab" * 32} if step == "digest" else {}
        write_receipt(
            root, Receipt(step=step, fingerprint="", result=result, seconds=value, peak_memory_bytes=int(value * 1e7))
        )


@pytest.fixture
def documents_root(corpus_root: CorpusRoot) -> CorpusRoot:
    """A corpus that was cleaned and no more."""
    commit_documents(corpus_root)
    return corpus_root


@pytest.fixture
def whole(corpus_root: CorpusRoot, tmp_path: Path) -> tuple[CorpusRoot, str, str]:
    """A corpus after the whole chain, its training run and its fine-tuned run."""
    commit_documents(corpus_root)
    commit_duplicates(corpus_root)
    commit_tokens(corpus_root)
    make_receipts(corpus_root)
    return corpus_root, make_run(tmp_path / "run"), make_finetuned(tmp_path / "finetuned")
