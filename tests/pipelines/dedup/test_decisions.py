"""Decisions partition by partition, and of a corpus at once, equal one naive walk over all documents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.decisions import LEVELS, EdgeBlock, Fates, Members, decide
from pipelines.dedup.walk import Removed, walk

PARTITIONS = 3
TEXTS = 7


class Doc(NamedTuple):
    order: int
    worth: int  # what the policy ranks by, less is better
    text: int
    url: int  # 0 for none
    number: int


class Gone(NamedTuple):
    keeper: Doc
    level: str
    similarity: float
    band: int


DOCS = st.lists(
    st.tuples(
        st.integers(0, PARTITIONS - 1),
        st.integers(0, 2),
        st.integers(0, TEXTS - 1),
        st.integers(0, 4),
        st.integers(0, 3),
    ),
    max_size=25,
    unique=True,
).map(lambda rows: [Doc(*row) for row in rows])
LIKE = st.sets(st.tuples(st.integers(0, TEXTS - 1), st.integers(0, TEXTS - 1)).filter(lambda pair: pair[0] < pair[1]))
SOME_LEVELS = st.sets(st.sampled_from(LEVELS), min_size=1).map(frozenset)


def similarity(one: int, other: int) -> float:
    return 1.0 if one == other else 0.8 + (one + other) / 1000


def band(one: int, other: int) -> int:
    return (one * other) % 5


def naive(docs: list[Doc], like: set[tuple[int, int]], levels: frozenset[str], corpus: bool) -> dict[Doc, Gone]:
    """Every document against every kept one, level by level; no groups, no representatives."""
    ranked = sorted(docs, key=lambda doc: (doc.worth, *doc) if corpus else (doc.order, doc.worth, *doc))
    same_url: dict[Doc, Doc] = {}
    after_urls: list[Doc] = []
    for doc in ranked:
        first = next((other for other in after_urls if doc.url and other.url == doc.url), None)
        if first is not None and "url" in levels:
            same_url[doc] = first
        else:
            after_urls.append(doc)
    kept: list[Doc] = []
    gone: dict[Doc, Gone] = {}
    for doc in after_urls:
        for other in kept:
            if doc.text == other.text and levels & {"exact", "near"}:
                gone[doc] = Gone(other, "exact", 1.0, -1) if "exact" in levels else Gone(other, "near", 1.0, 0)
                break
            if "near" in levels and tuple(sorted((doc.text, other.text))) in like:
                both = doc.text, other.text
                gone[doc] = Gone(other, "near", similarity(*both), band(*both))
                break
        else:
            kept.append(doc)
    for doc, first in same_url.items():
        gone[doc] = Gone(gone[first].keeper if first in gone else first, "url", np.nan, -1)
    return gone


def decided(
    docs: list[Doc],
    before: dict[Doc, Gone],
    own: set[Doc],
    like: set[tuple[int, int]],
    levels: frozenset[str],
    corpus: bool,
) -> dict[Doc, Gone]:
    """The fates of `own` by the code under test; documents enter in no particular order."""
    docs = sorted(docs, key=lambda doc: doc[::-1])
    ranking = sorted(docs, key=lambda doc: (doc.worth, *doc) if corpus else (doc.order, doc.worth, *doc))
    rank = {doc: place for place, doc in enumerate(ranking)}
    members = Members(
        np.array([rank[doc] for doc in docs], dtype=np.int64),
        np.array([doc.text for doc in docs], dtype=np.int64),
        np.array([doc.url - 1 for doc in docs], dtype=np.int64),
        np.array([doc in own for doc in docs], dtype=bool),
    )
    fates = Fates.all_stay(len(docs))
    place = {doc: number for number, doc in enumerate(docs)}
    for doc, fate in before.items():
        fates.put(
            np.array([place[doc]]), np.array([place[fate.keeper]]), LEVELS.index(fate.level), fate.similarity, fate.band
        )
    pairs = sorted(like, key=lambda pair: pair[::-1])
    texts = {doc.text for doc in docs}

    def edges() -> list[EdgeBlock]:
        return [
            EdgeBlock(
                np.array([two if two in texts else -1]),
                np.array([one if one in texts else -1]),
                np.array([similarity(one, two)]),
                np.array([band(one, two)]),
            )
            for one, two in pairs
        ]

    def whole(kept_before: np.ndarray, batches: object) -> Removed:
        ends = [np.concatenate([np.empty(0, dtype=np.int64), *side]) for side in zip(*batches(), strict=True)]  # type: ignore[operator]
        return walk(kept_before, *(ends or [np.empty(0, dtype=np.int64)] * 2))

    found = decide(members, fates, levels, edges, whole)
    columns = zip(docs, *(column.tolist() for column in found), strict=True)
    return {
        doc: Gone(docs[keeper], LEVELS[level], alike, band_)
        for doc, keeper, level, alike, band_ in columns
        if keeper >= 0 and doc in own
    }


def comparable(fates: dict[Doc, Gone]) -> dict[Doc, tuple[object, ...]]:
    """NaN is not equal to itself."""
    return {doc: (*fate[:2], str(fate.similarity), fate.band) for doc, fate in fates.items()}


@given(DOCS, LIKE, SOME_LEVELS)
def test_partition_by_partition_equals_a_naive_walk_over_all(
    docs: list[Doc], like: set[tuple[int, int]], levels: frozenset[str]
) -> None:
    fates: dict[Doc, Gone] = {}
    for order in range(PARTITIONS):
        there = [doc for doc in docs if doc.order <= order]
        fates |= decided(there, fates, {doc for doc in there if doc.order == order}, like, levels, corpus=False)
    assert comparable(fates) == comparable(naive(docs, like, levels, corpus=False))


@given(DOCS, LIKE, SOME_LEVELS)
def test_a_corpus_at_once_equals_a_naive_walk_over_all(
    docs: list[Doc], like: set[tuple[int, int]], levels: frozenset[str]
) -> None:
    found = decided(docs, {}, set(docs), like, levels, corpus=True)
    assert comparable(found) == comparable(naive(docs, like, levels, corpus=True))


@given(DOCS, LIKE)
def test_keepers_stay_and_no_similar_pair_is_kept(docs: list[Doc], like: set[tuple[int, int]]) -> None:
    fates = decided(docs, {}, set(docs), like, frozenset(LEVELS), corpus=False)
    stay = [doc for doc in docs if doc not in fates]
    assert {fate.keeper for fate in fates.values()} <= set(stay)
    texts = [doc.text for doc in stay]
    urls = [doc.url for doc in stay if doc.url]
    assert len(set(texts)) == len(texts)
    assert len(set(urls)) == len(urls)
    assert not any((one, other) in like for one in texts for other in texts)


def test_a_copy_of_a_removed_document_follows_it() -> None:
    keeper, gone = Doc(0, 0, 1, 0, 0), Doc(0, 0, 2, 0, 0)
    copies = {Doc(1, 0, 2, 0, number) for number in range(3)}
    fate = Gone(keeper, "near", 0.9, 2)
    levels = frozenset({"exact", "near"})
    assert decided([keeper, gone, *copies], {gone: fate}, copies, set(), levels, False) == dict.fromkeys(copies, fate)


@pytest.mark.parametrize("levels", [frozenset({"url"}), frozenset(LEVELS)])
def test_nothing_to_decide(levels: frozenset[str]) -> None:
    assert decided([], {}, set(), {(1, 2)}, levels, False) == {}
