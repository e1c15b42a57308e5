"""Numbers of the funnel against the rows themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.funnel_report.facts import FunnelFacts, SourceFacts, read_funnel_facts
from flows.funnel_report.page import render_funnel
from schemas.catalog import manifest_of, read_table
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError, InputError
from schemas.manifest import read_manifest, write_manifest

KEY = PartitionKey("web", "one")
Clean = Callable[..., CorpusRoot]


@pytest.fixture(scope="module")
def sources(facts: FunnelFacts) -> dict[str, SourceFacts]:
    """Of `cleaned`, by name."""
    return {source.name: source for source in facts.sources}


def test_losses_add_up_and_equal_the_manifests(cleaned: CorpusRoot, sources: dict[str, SourceFacts]) -> None:
    for source in sources.values():
        for key, losses in source.partitions.items():
            manifest = manifest_of(cleaned, "documents", key)
            assert manifest is not None
            assert losses.items == manifest.counts["items"]
            assert losses.items - sum(reason.documents for reason in losses.reasons) == losses.kept
            for kind in ("dead", "dropped"):
                told = {r.name: r.documents for r in losses.reasons if r.kind == kind}
                prefix = f"{kind}."
                counted = {n.removeprefix(prefix): c for n, c in manifest.counts.items() if n.startswith(prefix)}
                assert told == {name: count for name, count in counted.items() if count}
            texts = read_table(cleaned, "documents", key, ["text"]).column("text").to_pylist()
            assert (losses.documents, losses.characters) == (len(texts), sum(map(len, texts)))
        assert source.losses.items == sum(part.items for part in source.partitions.values())
        assert source.losses.kept == sum(part.kept for part in source.partitions.values())
        total = sum(reason.documents for reason in source.losses.reasons)
        assert total == source.losses.items - source.losses.kept


def test_characters_of_dropped_rows_are_of_their_text(cleaned: CorpusRoot, sources: dict[str, SourceFacts]) -> None:
    losses = sources["web"].partitions[KEY]
    by_name = {reason.name: reason for reason in losses.reasons}
    assert by_name["http-status"].measured == by_name["content-type"].measured == 0
    few = [reason for reason in losses.reasons if reason.kind == "dropped" and reason.measured]
    lengths = sum(
        dict(row["scores"])["characters"]
        for row in read_table(cleaned, "dropped", KEY).to_pylist()
        if row["content_hash"] is not None
    )
    assert sum(reason.characters for reason in few) == lengths > 0


def by_hand(root: CorpusRoot, source: SourceFacts) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for key in source.partitions:
        for table in ("documents", "dropped"):
            for row in read_table(root, table, key).to_pylist():
                for name, _ in row["scores"] or ():
                    found.setdefault(name, Counter())[table] += 1
                for place, name in enumerate(row.get("rules", ())):
                    counts = found.setdefault(name, Counter())
                    counts["broken"] += 1
                    counts["first"] += place == 0
                    counts["alone"] += len(row["rules"]) == 1
    return found


def test_rules_count_what_the_rows_say(cleaned: CorpusRoot, sources: dict[str, SourceFacts]) -> None:
    for source in sources.values():
        wanted = by_hand(cleaned, source)
        assert {rule.name for rule in source.rules} == set(wanted)
        for rule in source.rules:
            counts = wanted[rule.name]
            assert (rule.broken, rule.first, rule.alone) == (counts["broken"], counts["first"], counts["alone"])
            if rule.histogram is not None:
                assert rule.histogram.kept.sum() == counts["documents"]
                assert rule.histogram.dropped.sum() == counts["dropped"]
            else:
                assert counts["documents"] + counts["dropped"] == 0


def test_thresholds_are_those_of_the_partitions(sources: dict[str, SourceFacts]) -> None:
    rules = {rule.name: rule for rule in sources["web"].rules}
    assert rules["words-at-least"].thresholds == ((50, "at_least"), (100, "at_least"))
    assert rules["language"].thresholds == ((0.65, "at_least"),)
    assert rules["characters"].thresholds == ()
    assert all(not rule.thresholds for rule in sources["raw"].rules)


def excerpts(facts: FunnelFacts) -> list[tuple[str, Any]]:
    rules = (rule for source in facts.sources for rule in source.rules or ())
    return [(rule.name, one) for rule in rules for one in rule.dropped + rule.kept]


def test_samples_show_the_text_that_was_judged(facts: FunnelFacts) -> None:
    seen: Counter[str] = Counter()
    for name, one in excerpts(facts):
        if one.row["content_hash"] is None:
            assert one.excerpt.problem == "no text was made of it"
            continue
        assert one.excerpt.problem == ""
        length = int(dict(one.row["scores"])["characters"])
        assert len(one.excerpt.text) == min(600, length)
        assert one.excerpt.cut == (length > 600)
        if one.value is not None:
            assert one.value == dict(one.row["scores"])[name]
        seen[Path(one.row["record_file"]).suffix] += 1
    assert set(seen) == {".gz", ".warc", ".jsonl", ".html"}
    assert any("Few words of page" in one.excerpt.text for _, one in excerpts(facts))
    web = next(source for source in facts.sources if source.name == "web")
    dropped = {rule.name: rule.dropped for rule in web.rules}
    assert len(dropped["words-at-least"]) == 3
    assert all("words-at-least" in one.row["rules"] for one in dropped["words-at-least"])


def test_raw_files_that_are_gone_or_changed_are_said(clean_into: Clean, write_raw: Any, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    write_raw(raw)
    root = clean_into(raw, "web")
    (raw / "pages.warc.gz").unlink()
    (raw / "own.html").write_bytes((raw / "own.html").read_bytes().replace(b"valley", b"tunnel"))
    (raw / "plain.warc").write_bytes((raw / "plain.warc").read_bytes()[400:])
    problems = {
        Path(one.row["record_file"]).name: one.excerpt.problem
        for _, one in excerpts(read_funnel_facts(root.url, 8))
        if one.row["content_hash"] is not None and "rules" in one.row
    }
    assert problems["pages.warc.gz"].startswith("its raw file cannot be read any more: cannot read ")
    assert "chang" in problems["plain.warc"] or "another text" in problems["plain.warc"]
    assert problems["own.html"] == "the record at its address has another text than when it was cleaned"


def test_settings_of_another_version_are_said(own: CorpusRoot) -> None:
    folder = own.partition_folder("documents", KEY)
    manifest = read_manifest(folder)
    assert manifest is not None
    write_manifest(folder, manifest.model_copy(update={"config": {**manifest.config, "preset": "of-old"}}))
    problems = {one.excerpt.problem for _, one in excerpts(read_funnel_facts(own.url, 8))}
    assert "cleaned by another version of this program, with settings that this one does not know" in problems


def test_only_the_largest_sources_are_told_in_detail(cleaned: CorpusRoot) -> None:
    sources = read_funnel_facts(cleaned.url, 1).sources
    assert {source.name: source.rules is not None for source in sources} == {"raw": False, "web": True}
    assert all(source.losses.items > 0 for source in sources)


def test_rows_that_do_not_add_up_are_said(own: CorpusRoot) -> None:
    part = Path(own.url) / "dropped/web/one/part-00000.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(ContractError, match="dropped rows of web/one do not add up to their manifest: it says"):
        read_funnel_facts(own.url, 8)
    part.unlink()
    with pytest.raises(ContractError, match=r"part-00000\.parquet cannot be read: .*remove its manifest"):
        read_funnel_facts(own.url, 8)


def test_a_corpus_without_documents(corpus_root: CorpusRoot, clean_into: Clean, tmp_path: Path) -> None:
    Path(corpus_root.url).mkdir()
    with pytest.raises(InputError, match=r"nothing was cleaned in .*: run `corpusmill run clean` first"):
        read_funnel_facts(corpus_root.url, 8)
    (tmp_path / "empty.jsonl").write_text('{"text": 5}\n')
    (source,) = read_funnel_facts(clean_into(tmp_path / "empty.jsonl", "web").url, 8).sources
    assert (source.losses.items, source.losses.kept, source.losses.kept_characters, source.rules) == (1, 0, 0, ())


def test_lists_kinds_of_personal_data_and_open_sides(clean_into: Clean, tmp_path: Path) -> None:
    """What is measured beside rules has a distribution and no threshold; lists are not needed to show texts again."""
    given, blocked, bad = tmp_path / "rows.jsonl", tmp_path / "blocked", tmp_path / "bad"
    texts = ["Write to me@example.org now.", "A naughty text, from me@example.org too.", "no end mark", "Blocked."]
    rows = [{"text": text, "url": f"http://{host}.example/"} for text, host in zip(texts, "abcd", strict=True)]
    given.write_text("\n".join(map(json.dumps, rows)))
    blocked.write_text("d.example\n")
    bad.write_text("naughty\n")
    root = clean_into(
        given,
        "web",
        rules=["blocked-domains", "pii", "bad-words", "end-mark-lines"],
        lists={"domains": [str(blocked)], "bad_words": {"*": [str(bad)]}},
    )
    blocked.unlink()
    bad.unlink()
    facts = read_funnel_facts(root.url, 8)
    (source,) = facts.sources
    assert source.rules is not None
    found = {rule.name: rule for rule in source.rules}
    assert {n: rule.first for n, rule in found.items() if rule.first} == {
        "blocked-domains": 1,
        "bad-words": 1,
        "end-mark-lines": 1,
    }
    for name in ("pii", "pii-email", "pii-phone", "characters"):
        histogram = found[name].histogram
        assert histogram is not None
        assert (histogram.total, found[name].thresholds, found[name].broken) == (3, (), 0)
    assert found["bad-words"].dropped[0].excerpt.text == "A naughty text, from <EMAIL> too."
    assert found["blocked-domains"].dropped[0].excerpt.problem == "no text was made of it"
    assert found["end-mark-lines"].thresholds == ((0.12, "above"),)
    page = render_funnel(facts, datetime(2026, 1, 2, tzinfo=UTC))
    assert "kept &gt; 0.12" in page
    assert "pii-email" in page
