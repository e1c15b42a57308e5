"""The walk against a naive one, and the shapes of the design."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.walk import walk

Edges = list[tuple[int, int]]


def naive_walk(kept_before: list[bool], edges: Edges) -> dict[int, int]:
    """By removed document its keeper: go through documents in rank order, look at all edges each time."""
    kept: list[int] = []
    keepers = {}
    for document, stays in enumerate(kept_before):
        near = [other for other in kept if (document, other) in edges or (other, document) in edges]
        if not stays:
            continue
        if near:
            keepers[document] = min(near)
        else:
            kept.append(document)
    return keepers


def run_walk(kept_before: list[bool], edges: Edges) -> dict[int, int]:
    lower = np.array([max(edge) for edge in edges], dtype=np.int64)
    higher = np.array([min(edge) for edge in edges], dtype=np.int64)
    removed_by = walk(np.array(kept_before, dtype=bool), lower, higher).tolist()
    return {document: int(higher[edge]) for document, edge in enumerate(removed_by) if edge >= 0}


GRAPHS = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.integers(0, count).flatmap(
            lambda decided: st.tuples(
                st.just(count), st.just(decided), st.lists(st.booleans(), min_size=decided, max_size=decided)
            )
        ),
        st.lists(
            st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda edge: edge[0] != edge[1]),
            max_size=40,
            unique_by=lambda edge: (min(edge), max(edge)),
        ),
    )
)


@given(GRAPHS)
def test_equal_to_a_naive_walk(graph: tuple[tuple[int, int, list[bool]], Edges]) -> None:
    (count, decided, fates), edges = graph
    edges = [edge for edge in edges if max(edge) >= decided]  # documents decided earlier have no decision left
    kept_before = fates + [True] * (count - decided)
    keepers = run_walk(kept_before, edges)
    assert keepers == naive_walk(kept_before, edges)
    stays = [kept and document not in keepers for document, kept in enumerate(kept_before)]
    assert all(stays[keeper] for keeper in keepers.values())
    assert not any(stays[one] and stays[other] for one, other in edges)


def kept(count: int, edges: Edges) -> list[int]:
    removed = run_walk([True] * count, edges)
    return [document for document in range(count) if document not in removed]


def test_a_path_of_5000_in_rank_order_keeps_2500() -> None:
    assert kept(5000, [(i, i + 1) for i in range(4999)]) == list(range(0, 5000, 2))


def test_a_star_whose_hub_ranks_first_keeps_one() -> None:
    assert kept(100_000, [(0, i) for i in range(1, 100_000)]) == [0]


def test_a_star_whose_hub_ranks_last_keeps_all_but_the_hub() -> None:
    assert kept(10_000, [(9_999, i) for i in range(9_999)]) == list(range(9_999))


def test_two_cliques_joined_by_one_edge_keep_one_each() -> None:
    ones = [(i, j) for i in range(10) for j in range(i)]
    others = [(i + 10, j + 10) for i, j in ones]
    assert kept(20, [*ones, *others, (9, 10)]) == [0, 10]
    assert kept(20, [*ones, *others, (0, 10)]) == [0, 11]  # the first of the second clique goes with the first one


def test_no_edges_no_removals() -> None:
    assert run_walk([True, False, True], []) == {}
