"""The page: nothing in it is markup but ours, it is one file, and it stays small."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flows.cli.main import run
from flows.funnel_report.facts import FunnelFacts, read_funnel_facts
from flows.funnel_report.page import render_funnel, write_funnel_report
from pipelines.engine.staging import stage_parquet
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.identity import content_hash, document_id
from schemas.manifest import Manifest, OutputFile, TableRecord, write_manifest
from schemas.tables import TABLES

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEB = PartitionKey("web", "one")


class Reader(HTMLParser):
    """Collects tags, attributes and ids; what opens also closes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def page_of(root: CorpusRoot) -> str:
    return render_funnel(read_funnel_facts(root.url, 8), NOW)


def commit(root: CorpusRoot, stage: str, key: PartitionKey, rows: dict[str, list[dict[str, Any]]], **more: Any) -> None:
    """Tables of one unit with its manifest; those that are no Parquet tables get none."""
    records = {}
    for table, content in rows.items():
        files = ()
        if table in TABLES:
            whole = [{**dict.fromkeys(TABLES[table].names), **row} for row in content]
            made = pa.Table.from_pylist(whole, schema=TABLES[table])
            staged = stage_parquet(root.partition_folder(table, key), "part-00000.parquet", made)
            files = (OutputFile(name=staged.name, rows=staged.rows, bytes=staged.bytes),)
        records[table] = TableRecord(rows=len(content), digest="0", files=files)
    about = {"fingerprint": "0", "config": {}, "inputs": (), "stage_version": 1, **more}
    manifest = Manifest(stage=stage, source=key.source, partition=key.partition, tables=records, **about)
    write_manifest(root.partition_folder(next(iter(rows)), key), manifest)


def document(key: PartitionKey, number: int, text: str, scores: dict[str, float]) -> dict[str, Any]:
    content = content_hash(text)
    return {
        "document_id": document_id(key.source, f"u{number}", content),
        "content_hash": content,
        "source": key.source,
        "partition": key.partition,
        "title": f"Page {number}",
        "url": f"http://x.example/{number}",
        "record_file": "/nowhere/a.warc.gz",
        "record_offset": number,
        "scores": list(scores.items()),
        "text": text,
    }


def test_text_of_pages_is_never_markup(facts: FunnelFacts) -> None:
    page = render_funnel(facts, NOW)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
    reader = Reader(page)
    assert {"script", "link", "iframe", "object", "embed", "img", "base", "form"}.isdisjoint(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    targets = {value for name, value in reader.attributes if name in {"href", "src", "xlink:href"}}
    ids = {f"#{value}" for name, value in reader.attributes if name == "id"}
    assert targets <= ids
    assert not re.search(r"url\((?!#)|@import|javascript:", page)


def test_names_of_a_hostile_corpus_are_text(corpus_root: CorpusRoot) -> None:
    attack = '"><svg onload=alert(1)>'
    row = {**document(WEB, 1, "x", {attack: 0.5}), "rules": [attack], "unevaluated": [], "language": attack}
    more = {"title": attack, "url": f"javascript:{attack}", "record_file": attack}
    del row["text"]
    tables = {"documents": [], "dropped": [{**row, **more}], "dead": []}
    counts = {"items": 1, "dropped": 1, f"dropped.{attack}": 1}
    commit(corpus_root, "clean", WEB, tables, counts=counts, config=CleanConfig().fingerprint_view())
    page = page_of(corpus_root)
    assert "onload=alert" in page
    assert not [name for name, _ in Reader(page).attributes if name == "onload"]


def test_the_page_says_what_the_facts_say(facts: FunnelFacts) -> None:
    page = re.sub(r"\s+", " ", render_funnel(facts, NOW))
    (web,) = (source for source in facts.sources if source.name == "web")
    for reason in web.losses.reasons:
        assert f'<td>{reason.name}</td><td class="n">−{reason.documents}</td>' in page
    assert "kept ≥ 50" in page
    assert "kept ≥ 100" in page
    assert "broke words-at-least, " in page
    assert "Not deduplicated yet" in page
    assert "Tokens of" not in page
    assert len(re.findall("<summary>(one|two): ", page)) == 2


def test_the_same_corpus_gives_the_same_page(cleaned: CorpusRoot, facts: FunnelFacts) -> None:
    assert page_of(cleaned) == render_funnel(facts, NOW)


@pytest.fixture
def tokenized(corpus_root: CorpusRoot) -> CorpusRoot:
    """Ten documents of 100 characters; one is a near copy, two are dropped; what is kept has 225 tokens."""
    texts = [f"{n:<100}" for n in range(12)]
    rows = [document(WEB, n, text, {"characters": 100.0, "words-at-least": n}) for n, text in enumerate(texts)]
    dropped = [{**row, "rules": ["words-at-least"], "unevaluated": []} for row in rows[10:]]
    for row in dropped:
        del row["text"]
    counts = {"items": 13, "documents": 10, "dropped": 2, "dropped.words-at-least": 2, "dead": 1, "dead.bad-json": 1}
    dead = [{"source": "web", "partition": "one", "stage": "clean", "error": "bad-json", "message": "m"}]
    commit(corpus_root, "clean", WEB, {"documents": rows[:10], "dropped": dropped, "dead": dead}, counts=counts)
    where = {f"{side}_{name}": value for side in ("removed", "kept") for name, value in WEB._asdict().items()}
    near = {**where, "removed_id": rows[1]["document_id"], "kept_id": rows[0]["document_id"], "similarity": 0.9}
    commit(corpus_root, "dedup", WEB, {"duplicates": [{**near, "level": "near", "config": "0"}]})
    tokens = {"tokens_train": 200, "tokens_validation": 25, "tokens_test": 0}
    commit(corpus_root, "tokenize", WEB, {"tokens/bpe/train": []}, counts=tokens)
    return corpus_root


def test_copies_and_tokens_are_counted(tokenized: CorpusRoot) -> None:
    facts = read_funnel_facts(tokenized.url, 8)
    losses = facts.sources[0].losses
    assert [(r.kind, r.name, r.documents, r.characters) for r in losses.reasons] == [
        ("dead", "bad-json", 1, 0),
        ("dropped", "words-at-least", 2, 200),
        ("duplicate", "near copy", 1, 100),
    ]
    assert (losses.items, losses.documents, losses.kept, losses.kept_characters) == (13, 10, 9, 900)
    assert (facts.tokenizer, losses.tokens, losses.tokens_of(200)) == ("bpe", 225, 50)
    page = page_of(tokenized)
    assert '<td class="n">≈ 50</td>' in page
    assert '<td class="n">225</td>' in page
    assert "Not deduplicated yet" not in page
    assert "its raw file cannot be read any more" in page or "of another version" in page


def test_classifiers_are_described(tokenized: CorpusRoot, real_classifier: Callable[[CorpusRoot], Manifest]) -> None:
    manifest = real_classifier(tokenized)
    page = page_of(tokenized)
    assert "Classifier quality</h2>" in page
    assert f"<strong>{manifest.notes['held_out_auc']:.4f}</strong>" in page
    assert len(re.findall("<tr><td>0[.][0-9]–", page)) == 10
    Reader(page)


def test_documents_of_before_lengths_were_stored_are_measured(corpus_root: CorpusRoot) -> None:
    rows = [document(WEB, n, "é" * (n + 1), {}) for n in range(3)]
    tables = {"documents": rows, "dropped": [], "dead": []}
    commit(corpus_root, "clean", WEB, tables, counts={"items": 3, "documents": 3})
    assert read_funnel_facts(corpus_root.url, 8).sources[0].losses.characters == 6
    assert "measured of" not in page_of(corpus_root)


@pytest.mark.slow
def test_ten_thousand_rows_make_a_small_page(corpus_root: CorpusRoot) -> None:
    config = CleanConfig()
    rules = config.active_rules()
    for source in ("a", "b", "c", "d"):
        key = PartitionKey(source, "p")
        rows = []
        for number in range(2500):
            scores = dict.fromkeys(rules, number * 7919 % 997 / 997) | {"characters": 2000.0}
            row = document(key, number, f"{source} {number} " + "<&> " * 500, scores)
            rows.append({**row, "title": "<" * 3000, "url": "http://x/" + "&" * 3000})
        dropped = [
            {**row, "rules": list(rules[number % 30 :][:4]), "unevaluated": []} for number, row in enumerate(rows)
        ]
        for row in dropped:
            row.pop("text")
        counts = {"items": 2500, "dropped": 1250, "documents": 1250}
        for row in dropped[1250:]:
            name = f"dropped.{row['rules'][0]}"
            counts[name] = counts.get(name, 0) + 1
        tables = {"documents": rows[:1250], "dropped": dropped[1250:], "dead": []}
        commit(corpus_root, "clean", key, tables, counts=counts, config=config.fingerprint_view())
    assert len(page_of(corpus_root).encode()) < 5_000_000


def test_the_command_writes_it(cleaned: CorpusRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = str(tmp_path / "f.html")
    assert run(["report", cleaned.url, "--funnel", "--out", target]) == 0
    assert Path(target).read_text().startswith("<!doctype html>")
    assert run(["report", cleaned.url, "--funnel", "--run", "x"]) == 2
    assert "--funnel is a page on documents alone; leave out --run and --finetune-run" in capsys.readouterr().err


def test_it_lies_in_the_corpus(own: CorpusRoot) -> None:
    assert write_funnel_report(own.url) == f"{own.url}/funnel.html"
    assert (Path(own.url) / "funnel.html").is_file()
