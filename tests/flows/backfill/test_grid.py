"""The grid: folded in the terminal and in Markdown, whole on a page that needs nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fake_units import FakeCorpus

from flows.backfill.claims import Claims
from flows.backfill.grid import fold, markdown, summary
from flows.backfill.page import render_grid
from flows.backfill.plan import make_plan
from schemas.corpus_root import PartitionKey


def test_what_is_alike_is_one_row(corpus: FakeCorpus):
    corpus.chain("1", "2")
    corpus.raw("3")
    rows = fold(make_plan(corpus.asked("corpus", "1..9")))
    assert [(row.name, row.partitions, row.texts()[:2]) for row in rows] == [
        ("1 … 2", 2, ["done", "done"]),
        ("3", 1, ["missing", "missing"]),
        *((str(number), 1, ["blocked", "blocked"]) for number in range(4, 10)),
    ]
    assert rows[0].reason == "digest equal"


def test_thousands_are_counted_in_few_rows(corpus: FakeCorpus):
    for number in range(0, 2000, 2):
        corpus.raw(f"{number:04d}")
    plan = make_plan(corpus.asked("clean", "0000..1999"))
    rows = fold(plan)
    assert len(rows) <= 60
    assert sum(row.partitions for row in rows) == 2000
    assert rows[0].name == "0000 … 0033"
    assert rows[0].texts() == ["17 missing, 17 blocked"]
    assert rows[0].worst() == ["blocked"]
    assert summary(plan) == "1,000 missing, 1,000 blocked"


def test_markdown_has_a_table_and_the_way_on(corpus: FakeCorpus):
    corpus.chain("1")
    text = markdown(make_plan(corpus.asked("corpus", "1..2")))
    assert "| 1 | 1 | done | done | done | done | digest equal |" in text
    assert "2 partitions: 1 done, 1 blocked." in text
    assert "`corpusmill backfill resume corpus --root " in text


def test_the_page_needs_nothing_else_and_shows_every_partition(corpus: FakeCorpus):
    corpus.chain("1", "2")
    corpus.raw("3", "<script>")
    claim = Claims(corpus.root).take("clean", PartitionKey("web", "3"), "b")
    assert claim is not None
    plan = make_plan(corpus.asked("corpus", "1..4"))
    page = render_grid(plan, datetime(2026, 11, 30, tzinfo=UTC))
    claim.release()
    assert page.count("<i class=") == 4 * 4 + len(re.findall(r'<li><i class="', page))
    assert 'title="3: running, by process ' in page
    assert "4 partitions: 2 done, 1 running, 1 blocked." in page
    assert "2026-11-30 00:00 UTC" in page
    assert not re.search(r"<script|https?://|<link|url\(", page)
