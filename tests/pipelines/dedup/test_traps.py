"""Mistakes that other deduplication programs make on published corpora, each on texts that bring it about."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.dedup import stage
from pipelines.dedup.minhash import Permutations, minhash
from pipelines.dedup.shingles import ShingleSets, shingle_sets
from pipelines.dedup.stage import pending
from schemas.configs.dedup import DedupConfig

SHORT = "just three words"


def words(seed: int, count: int, prefix: str = "w") -> str:
    draw = random.Random(seed)
    return " ".join(f"{prefix}{draw.randrange(10**6)}" for _ in range(count))


def grams(text: str, n: int = 5) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", text.lower())
    return set(zip(*(found[i:] for i in range(n)), strict=False))


def jaccard(one: str, other: str) -> float:
    left, right = grams(one), grams(other)
    return len(left & right) / len(left | right)


def sets_of(arrays: list[np.ndarray]) -> ShingleSets:
    return ShingleSets(np.concatenate(arrays), np.cumsum([0, *map(len, arrays)]))


def removals(corpus: Any, partition: str = "p") -> dict[str, tuple[str, float]]:
    """By name of the document that goes: the name of its keeper, and the similarity."""
    names = {}
    for row in corpus.rows("documents", partition):
        names[row["document_id"]] = row["url"]
    rows = corpus.rows("duplicates", partition)
    return {names[row["removed_id"]]: (names[row["kept_id"]], row["similarity"]) for row in rows}


def test_documents_are_named_by_content_and_not_by_their_place(make_corpus: Any, chain: Any) -> None:
    texts = {f"{family}-{i}": chain(family, i) for family in "ab" for i in range(4)} | {"copy": chain("a", 2)}
    once, again = make_corpus(), make_corpus()
    once.put("p", texts)
    once.dedup()
    # The inputs are sorted and cut otherwise between the steps: documents are made anew, decisions are not.
    again.put("p", dict(reversed(texts.items())), files=3)
    before = removals(once)
    once.put("p", dict(reversed(texts.items())), files=5)
    assert removals(once) == before
    again.dedup()
    assert removals(again) == before
    assert len(before) == 5
    for removed, (kept, similarity) in before.items():
        assert kept not in before
        assert similarity == pytest.approx(jaccard(texts[removed], texts[kept]), abs=1e-12)
        assert similarity >= 0.8


def test_three_copies_of_a_document_of_the_index_all_go(corpus: Any, chain: Any) -> None:
    corpus.put("1", {"x": chain("w", 0)})
    corpus.dedup()
    corpus.put("2", {f"copy-{i}": chain("w", 0) for i in range(3)})
    corpus.dedup()
    assert corpus.removed("2") == {"copy-0", "copy-1", "copy-2"}


def test_copies_of_documents_too_short_for_a_shingle_go(corpus: Any) -> None:
    corpus.put("p", {"a": SHORT, "b": SHORT, "c": SHORT, "d": "a b", "e": "", "f": ""})
    corpus.dedup()
    assert len(removals(corpus)) == 3


@pytest.mark.slow
def test_nothing_depends_on_shards_order_or_workers(
    make_corpus: Any, chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_BYTES_PER_WORKER", 1)  # so that small inputs are worth several workers
    texts = {f"{family}-{i}": chain(family, i // 2) for family in "abc" for i in range(8)}
    orders = [list(texts), list(reversed(texts)), random.Random(3).sample(list(texts), len(texts))]
    found = []
    for order, files, workers in ((0, 1, 1), (1, 3, 2), (2, 7, 4), (1, 7, 1)):
        corpus = make_corpus()
        corpus.put("p", {name: texts[name] for name in orders[order]}, files=files)
        corpus.dedup(workers=workers)
        tables = ("signatures", "edges", "bands", "duplicates")
        found.append([sorted(map(str, corpus.rows(table, "p"))) for table in tables])
    assert len(found[0][3]) > 12
    assert all(other == found[0] for other in found)


def test_a_path_of_5000_texts_converges(corpus: Any) -> None:
    # Each text is the one before it shifted by two words: 0.857 alike, the next but one 0.733.
    long = words(1, 10_030).split()
    corpus.put("p", {f"{i}": " ".join(long[2 * i : 2 * i + 30]) for i in range(5000)})
    corpus.dedup(audit_documents=0)
    names, hashes = corpus.names("p"), {}
    for row in corpus.rows("documents", "p"):
        hashes[row["url"]] = row["content_hash"]
    like: dict[str, set[str]] = {}
    for row in corpus.rows("edges", "p"):
        one, other = names[row["left_id"]], names[row["right_id"]]
        assert abs(int(one) - int(other)) == 1
        like.setdefault(one, set()).add(other)
        like.setdefault(other, set()).add(one)
    assert len(like) > 4950
    kept: set[str] = set()
    for name in sorted(hashes, key=hashes.__getitem__):
        if not kept & like.get(name, set()):
            kept.add(name)
    assert removals(corpus).keys() == hashes.keys() - kept
    # Ranks are hashes, so a share of (1 - e^-2) / 2 stays (Flory 1939): 2,162 and a few dozen.
    assert 2100 < len(kept) < 2225


def test_templates_with_distinct_bodies_and_chains_are_not_merged(corpus: Any, chain: Any) -> None:
    template = words(2, 60, "t")
    pages = {f"page-{i}": f"{template} {words(100 + i, 100)}" for i in range(40)}
    drift = {f"link-{i}": chain("w", i) for i in range(12)}
    corpus.put("p", pages | drift)
    corpus.dedup()
    found = removals(corpus)
    assert not found.keys() & pages.keys()
    assert jaccard(drift["link-0"], drift["link-11"]) < 0.3
    assert 4 <= len(drift) - len(found) <= 6
    for removed, (kept, _) in found.items():
        assert jaccard(drift[removed], drift[kept]) >= 0.8


def test_shingles_are_words(corpus: Any) -> None:
    # The same letters and common words in other sentences: alike as character n-grams, unlike as word 5-grams.
    stock = re.findall(r"\w+", "the of and a in to was he that it his her with as had for she not at but")
    draw = random.Random(4)
    texts = {str(i): " ".join(draw.choice(stock) for _ in range(400)) for i in range(6)}

    def characters(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    one, other = (characters(texts[name]) for name in "01")
    assert len(one & other) / len(one | other) > 0.36
    corpus.put("p", texts)
    corpus.dedup()
    assert removals(corpus) == {}


def test_texts_that_are_equal_for_half_a_million_characters_only_stay(corpus: Any) -> None:
    same = words(5, 75_000)
    assert len(same) > 500_000
    texts = {name: f"{same} {words(seed, 30_000, name)}" for seed, name in enumerate("xy")}
    assert jaccard(texts["x"], texts["y"]) < 0.8
    corpus.put("p", texts)
    corpus.dedup()
    assert removals(corpus) == {}


def test_estimates_are_right_at_all_sizes() -> None:
    permutations = Permutations.draw(256, 1)
    draw = np.random.default_rng(6)
    for size in (100, 10_000, 200_000):
        pool = draw.integers(0, 2**64, int(size * 1.5), dtype=np.uint64)
        left, right = np.unique(pool[:size]), np.unique(pool[size // 2 :])
        exact = len(np.intersect1d(left, right)) / len(np.union1d(left, right))
        ones, others = minhash(sets_of([left, right]), permutations).values
        # Five standard deviations of an estimate by 256 values.
        assert abs((ones == others).mean() - exact) < 5 * (exact * (1 - exact) / 256) ** 0.5
    edges = [np.array([0], dtype=np.uint64), np.array([2**64 - 1], dtype=np.uint64)]
    zero, most = minhash(sets_of(edges), permutations).values
    assert not (zero == most).any()


def test_hashes_are_64_bits_wide() -> None:
    hashes = shingle_sets(pa.array([words(7, 20_000)]), 5, 10).hashes
    assert hashes.dtype == np.uint64
    assert (hashes >> np.uint64(32)).max() > 2**31
    values = minhash(sets_of([hashes[:1000]]), Permutations.draw(64, 1)).values
    assert values.dtype == np.uint64


def test_all_permutations_are_used_and_the_curve_is_told(corpus: Any, chain: Any) -> None:
    corpus.put("p", {"a": chain("w", 0)})
    notes = corpus.dedup().outcomes[-1].manifest.notes
    assert notes["bands"] * notes["rows"] == DedupConfig().permutations
    curve = dict(map(tuple, notes["recall_by_similarity"]))
    assert curve[0.8] == notes["recall_at_threshold"] >= 0.995
    assert curve[0.5] < curve[0.7] < curve[0.8] < curve[0.9]


@pytest.mark.parametrize("change", [{"ngram": 4}, {"seed": 2}, {"permutations": 128}])
def test_signatures_of_other_settings_are_never_mixed(corpus: Any, chain: Any, change: dict[str, int]) -> None:
    corpus.put("1", {"a": chain("w", 0)})
    corpus.dedup()
    corpus.put("2", {"b": chain("w", 1)})
    # The first partition is signed and its index made again, not taken as it is.
    assert pending(corpus.request(partition="2", **change)) == 4
    corpus.dedup(partition="2", **change)
    width = 8 * change.get("permutations", 108)
    assert {len(row["signature"]) for part in "12" for row in corpus.rows("signatures", part)} == {width}
    assert len(corpus.rows("edges", "2")) == 1


_DIGEST = """
import sys
from pathlib import Path
from pipelines.corpus_digest import corpus_digest
from pipelines.dedup.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.dedup import DedupConfig
from schemas.corpus_root import CorpusRoot
from schemas.process_exit import leave
root = CorpusRoot(sys.argv[1])
run(StageRequest(root=root, config=DedupConfig(levels=("url", "exact", "near")), engine=Engine()))
print(corpus_digest(root).total)
leave(0)
"""


@pytest.mark.slow
def test_the_seed_of_pythons_hash_changes_nothing(make_corpus: Any, chain: Any) -> None:
    digests = set()
    for seed in ("0", "12345"):
        corpus = make_corpus()
        texts = {f"{family}-{i}": chain(family, i // 2) for family in "abc" for i in range(6)}
        corpus.put("p", texts, more={name: {"url_key": f"http://u/{name[-1]}"} for name in texts if name > "b"})
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST, corpus.root.url],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        assert corpus.rows("duplicates", "p")
        digests.add(done.stdout.split()[-1])
    assert len(digests) == 1
