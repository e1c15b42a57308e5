from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.report.facts import read_facts
from flows.report.page import render, write_report
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import OutputError
from schemas.manifest import Manifest, write_manifest

_NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_ATTACK = '<script>alert("x")</script>'


class _Reader(HTMLParser):
    """Collects tags with their attributes, and checks that what opens also closes."""

    _VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.plots: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "svg":
            self.plots.append(dict(attrs)["aria-label"] or "")
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_whole_chain_has_every_part(whole):
    page = render(read_facts(whole[0].url, *whole[1:]), _NOW)
    assert len(_Reader(page).plots) == 10
    assert 'class="missing"' not in page
    expected = [
        "88.9% of 45 items passed the rules",
        "2026-11-21 12:00 UTC",
        "abababababababab…",
        "NotImplementedError",
        "An example: similarity 0.910",
        "1 other versions of a page that stays, by their URL, and 1 nearly equal",
        "<mark>method</mark>",
        "4,096 tokens in its vocabulary",
        "zero-shot",
        "0.210 ± 0.020",
        "serialize &lt;obj&gt;",
        "All 4 samples",
    ]
    text = re.sub(r"\s+", " ", page)
    assert [part for part in expected if part not in text] == []


def test_documents_alone_are_enough(documents_root: CorpusRoot):
    page = render(read_facts(documents_root.url), _NOW)
    assert len(_Reader(page).plots) == 2  # the funnel and the costs
    assert len(re.findall('class="missing"', page)) == 6
    assert "None" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_a_run_of_one_step_is_enough(whole):
    root, run, _ = whole
    (Path(run) / "samples.jsonl").unlink()
    for file in (Path(run) / "scores").iterdir():
        file.unlink()
    metrics = Path(run) / "metrics.jsonl"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    assert "Loss while training" in render(read_facts(root.url, run), _NOW)


def test_nothing_is_loaded_from_elsewhere(whole):
    page = render(read_facts(whole[0].url, *whole[1:]), _NOW)
    tags = _Reader(page).tags
    assert {"script", "link", "iframe", "object", "embed", "img", "base"}.isdisjoint(tag for tag, _ in tags)
    targets = [
        value or "" for _, attributes in tags for name, value in attributes.items() if "href" in name or name == "src"
    ]
    assert all(target.startswith("#") for target in targets)
    assert not re.search(r"url\((?!#)|@import", page)


def test_text_of_pages_is_never_markup(whole):
    root, run, finetuned = whole
    part = Path(root.url) / "documents/pydoc/2026-11/part-00000.parquet"
    rows = pq.read_table(part).to_pylist()
    attacked = [
        {**row, "title": _ATTACK, "url": f"http://x/{_ATTACK}", "text": f"{_ATTACK} {row['text']}"} for row in rows
    ]
    pq.write_table(pq.read_table(part).from_pylist(attacked, schema=pq.read_schema(part)), part)
    manifest = Path(root.url) / "tokenizers/bpe/manifest.json"
    manifest.write_text(manifest.read_text().replace("NotImplementedError", json.dumps(_ATTACK)[1:-1]))
    (Path(run) / "samples.jsonl").write_text(json.dumps({"step": 1, "prompt": _ATTACK, "text": _ATTACK}) + "\n")
    result = next((Path(run) / "scores").glob("*-300.json"))
    result.write_text(result.read_text().replace("last-word", json.dumps(_ATTACK)[1:-1]))
    items = Path(finetuned) / "finetune-items.jsonl"
    items.write_text(items.read_text().replace("json.dumps", json.dumps(_ATTACK)[1:-1]))
    page = render(read_facts(root.url, run, finetuned), _NOW)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") >= 8
    assert "script" not in {tag for tag, _ in _Reader(page).tags}


def test_same_facts_give_the_same_page(whole):
    pages = {render(read_facts(whole[0].url, *whole[1:]), _NOW) for _ in range(2)}
    assert len(pages) == 1


def test_page_lies_in_the_corpus_or_where_asked(documents_root: CorpusRoot, tmp_path: Path, monkeypatch):
    assert write_report(documents_root.url) == f"{documents_root.url}/report.html"
    assert (Path(documents_root.url) / "report.html").read_text().startswith("<!doctype html>")
    assert write_report(documents_root.url, out=str(tmp_path / "a/b.html")) == str(tmp_path / "a/b.html")
    monkeypatch.chdir(tmp_path)
    write_report(documents_root.url, out="here.html")
    assert (tmp_path / "here.html").is_file()


def test_a_place_that_cannot_be_written_is_said(documents_root: CorpusRoot, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write to .*file"):
        write_report(documents_root.url, out=str(tmp_path / "file/report.html"))


def test_evaluation_sets_are_told_and_documents_that_went_for_them(documents_root: CorpusRoot):
    key = PartitionKey("pydoc", "2026-11")
    one = {"task": "qa <1>", "words": 11, "items": 1500, "clean": 1490, "removed": 7, "dirty": 3, "short": 2}
    units = [
        ("decontaminate", "contaminated", key, {"counts": {"dropped_documents": 5}}),
        ("decontaminate-lists", "clean-dirty", PartitionKey("benchmarks", ""), {"notes": {"sets": [one]}}),
    ]
    for stage, table, where, more in units:
        manifest = Manifest(
            stage=stage,
            stage_version=1,
            source=where.source,
            partition=where.partition,
            fingerprint="0",
            config={},
            inputs=(),
            tables={},
            **more,
        )
        write_manifest(documents_root.partition_folder(table, where), manifest)
    facts = read_facts(documents_root.url)
    assert facts.funnel is not None
    last = facts.funnel.steps[-1]
    assert (last.kind, last.removed, facts.funnel.documents - facts.funnel.kept) == ("contaminated", 5, 5)
    page = render(facts, _NOW)
    _Reader(page)
    assert "Evaluation sets in the text" in page
    assert "<td>qa &lt;1&gt;</td><td>11</td><td>1,500</td><td>1,490</td><td>7</td><td>3</td><td>2</td>" in page
