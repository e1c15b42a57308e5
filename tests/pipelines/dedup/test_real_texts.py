"""Real pages of several versions of one site, and news with planted near-duplicates."""

from __future__ import annotations

import gzip
import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

THRESHOLD = 0.8


def read_lines(path: Path) -> list[str]:
    unpack = lzma.decompress if path.suffix == ".xz" else gzip.decompress
    return unpack(path.read_bytes()).decode("utf-8").splitlines()


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(5)), strict=False))


def jaccard(one: str, other: str) -> float:
    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right)


def edges_by_name(corpus: Any, texts: dict[str, str]) -> dict[frozenset[str], float]:
    """Similarities by pair of texts; pairs of equal texts are no edges."""
    names = corpus.names("p")
    return {
        frozenset({texts[names[row["left_id"]]], texts[names[row["right_id"]]]}): row["similarity"]
        for row in corpus.rows("edges", "p")
    }


@pytest.fixture(scope="module")
def pages(shared_data: Path, make_corpus: Any) -> tuple[Any, dict[str, str]]:
    """921 pages, deduplicated."""
    lines = read_lines(shared_data / "dedup/versioned-docs/docs.jsonl.xz")
    texts = {row["id"]: row["text"] for row in map(json.loads, lines)}
    corpus = make_corpus()
    corpus.put("p", texts, files=2)
    corpus.dedup()
    return corpus, texts


def test_pairs_of_versions_are_found(pages: tuple[Any, dict[str, str]], shared_data: Path) -> None:
    corpus, texts = pages
    lines = read_lines(shared_data / "dedup/versioned-docs/pairs.jsonl.gz")
    listed = [(row["a"], row["b"]) for row in map(json.loads, lines) if row["jaccard5"] >= THRESHOLD - 0.001]
    exact = {pair: jaccard(texts[pair[0]], texts[pair[1]]) for pair in listed}
    wanted = {pair: value for pair, value in exact.items() if value >= THRESHOLD}
    assert len(wanted) == 634
    edges = edges_by_name(corpus, texts)
    found = 0
    for (a, b), value in wanted.items():
        similarity = 1.0 if texts[a] == texts[b] else edges.get(frozenset({texts[a], texts[b]}))
        found += similarity is not None
        assert similarity in (None, value)
    assert found / len(wanted) >= 0.995
    removed = corpus.removed("p")
    both_kept = [pair for pair in wanted if not removed & set(pair)]
    assert len(both_kept) / len(wanted) <= 0.005


def test_every_removed_page_is_like_its_keeper(pages: tuple[Any, dict[str, str]]) -> None:
    corpus, texts = pages
    names, removed = corpus.names("p"), corpus.removed("p")
    rows = corpus.rows("duplicates", "p")
    assert len(rows) > 400
    for row in rows:
        one, other = names[row["removed_id"]], names[row["kept_id"]]
        assert other not in removed
        assert row["similarity"] >= THRESHOLD
        assert row["similarity"] == pytest.approx(jaccard(texts[one], texts[other]), abs=1e-12)
        assert (row["level"] == "exact") == (texts[one] == texts[other])
        assert (row["band"] is None) == (row["level"] == "exact")


def test_planted_pairs_of_news_are_found(shared_data: Path, corpus: Any) -> None:
    folder = shared_data / "dedup/plagiarism-articles"
    lines = read_lines(folder / "articles_1000.txt.gz")
    texts = dict(line.split(" ", 1) for line in lines)
    corpus.put("p", texts)
    corpus.dedup()
    edges = edges_by_name(corpus, texts)
    planted = [line.split() for line in (folder / "truth.txt").read_text().splitlines()]
    similar = [(a, b) for a, b in planted if jaccard(texts[a], texts[b]) >= THRESHOLD]
    assert len(similar) == len(planted) == 10
    for a, b in similar:
        assert edges[frozenset({texts[a], texts[b]})] == jaccard(texts[a], texts[b])
    assert len(corpus.removed("p")) == 10
