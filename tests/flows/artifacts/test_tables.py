"""Funnel, lineage and scores as tables: nothing is lost, and everything has its name."""

from __future__ import annotations

from flows.artifacts.funnel import funnel_markdown, funnel_rows, partition_funnel
from flows.artifacts.lineage import lineage_markdown, read_lineage
from flows.artifacts.scores import change_rows, score_rows
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, Manifest, OutputFile, TableRecord, write_manifest

KEY = PartitionKey("web", "2026-07")


def unit(stage: str, tables: dict[str, int], inputs: list[InputRecord], **more) -> Manifest:
    about = {"stage": stage, "stage_version": 3, "source": KEY.source, "partition": KEY.partition, "config": {}}
    records = {
        name: TableRecord(rows=rows, digest="d", files=(OutputFile(name="part-0", rows=rows, bytes=2048),))
        for name, rows in tables.items()
    }
    mark = f"{stage:0<64}"
    return Manifest(**{**about, **more}, fingerprint=mark, inputs=tuple(inputs), tables=records, seconds=1.5)


def corpus(root: CorpusRoot) -> CorpusRoot:
    files = [InputRecord(name=f"/data/{n}.warc.gz", digest="1:2", content_digest=f"{n}abcdef0123456789") for n in "xyz"]
    counts = {"items": 10, "dropped.words": 3, "dropped.language": 1, "dead.DamagedInputError": 1}
    cleaned = unit("clean", {"documents": 5, "dropped": 4, "dead": 1}, files, counts=counts)
    before = InputRecord(name="documents of 0 partitions before", digest="e")
    read = [InputRecord(name=f"documents/{KEY}", digest="d"), before]
    decided = unit("dedup", {"duplicates": 2}, read, counts={"exact_removed": 1, "near_removed": 1})
    write_manifest(root.partition_folder("documents", KEY), cleaned)
    write_manifest(root.partition_folder("duplicates", KEY), decided)
    tokenizer = unit("tokenizer", {"tokenizers": 1}, read, source="bpe", partition="")
    write_manifest(root.tokenizer_folder("bpe"), tokenizer)
    pinned = [*read, InputRecord(name="tokenizers/bpe", digest="t")]
    write_manifest(root.partition_folder("tokens/bpe/train", KEY), unit("tokenize", {"tokens/bpe/train": 9}, pinned))
    return root


def test_items_are_kept_or_have_a_reason(corpus_root: CorpusRoot):
    funnel = partition_funnel(corpus(corpus_root), KEY)
    assert funnel is not None
    rows = funnel_rows(funnel)
    read, *ways, kept = rows
    assert (read["items"], kept["items"]) == (10, 3)
    assert read["items"] == kept["items"] + sum(row["items"] for row in ways)
    assert {(row["what became of it"], row["reason"], row["items"]) for row in ways} == {
        ("unreadable", "DamagedInputError", 1),
        ("dropped by rule", "words", 3),
        ("dropped by rule", "language", 1),
        ("repeats another", "exact copy", 1),
        ("repeats another", "near copy", 1),
    }
    text = funnel_markdown(KEY, funnel)
    assert text.startswith("# web/2026-07: 3 of 10 items are kept\n")
    assert "bar [10, 1, 3, 1, 1, 1, 3]" in text
    assert "10 items = 3 kept + 7 removed." in text
    assert partition_funnel(corpus_root, PartitionKey("web", "other")) is None


def test_lineage_leads_from_files_to_tokens(corpus_root: CorpusRoot):
    text = lineage_markdown(read_lineage(corpus(corpus_root), KEY, "bpe"))
    assert text.startswith("# Where web/2026-07 comes from\n")
    boxes = ["clean", "dedup", "tokenizer", "tokenize"]
    for number, stage in enumerate(boxes):
        assert f'  u{number}["{stage}<br/>' in text
    assert '  u0i0["x.warc.gz<br/>xabcdef01234"]' in text
    assert '  u0rest["2 more inputs"]' in text
    arrows = {line.strip() for line in text.splitlines() if "-->" in line}
    assert arrows == {"u0i0 --> u0", "u0rest --> u0", "u0 --> u1", "u0 --> u2", "u0 --> u3", "u2 --> u3"}
    assert "| clean web/2026-07 | `clean0000000` | 3 | 3 | 5 documents, 4 dropped, 1 dead |" in text


def test_files_of_a_crawl_come_from_the_crawl(corpus_root: CorpusRoot):
    folder = corpus_root.partition_folder("crawl", KEY)
    write_manifest(folder, unit("crawl", {"crawl": 3}, []))
    files = [InputRecord(name=folder.path("part-00000.warc.gz"), digest="1:2")]
    write_manifest(corpus_root.partition_folder("documents", KEY), unit("clean", {"documents": 3}, files))
    assert "  u0 --> u1" in lineage_markdown(read_lineage(corpus_root, KEY, "bpe")).splitlines()


def test_scores_have_errors_and_what_they_are_measured_against():
    score = {
        "task": "order", "kind": "choice", "shots": 0, "metric": "accuracy", "value": 0.9, "standard_error": 0.03,
        "untrained": 0.25, "untrained_standard_error": None, "chance": 0.25, "n": 150,
    }  # fmt: skip
    loss = {**score, "task": "test", "kind": "perplexity", "metric": "loss", "value": 4.04, "chance": None}
    first, second = score_rows([score, loss])
    assert first == {
        "task": "order", "shots": "zero-shot", "metric": "accuracy", "score": "0.900 ± 0.030", "untrained": "0.250",
        "chance": "0.250", "items": "150",
    }  # fmt: skip
    assert (second["shots"], second["chance"]) == ("–", "–")
    estimate = {"value": 0.1, "standard_error": 0.02}
    changes = change_rows(
        {"exact_match": {"before": {"value": 0.0, "standard_error": None}, "after": estimate, "change": estimate}}
    )
    assert changes == [
        {"metric": "exact match", "before": "0.000", "after": "0.100 ± 0.020", "change": "0.100 ± 0.020"}
    ]
