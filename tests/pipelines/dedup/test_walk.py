"""The walk against an answer found another way, on the shapes of the design, whole and in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from walk_shapes import SHAPES, Edges, in_batches, keepers_by_elimination, mixed_shapes

from pipelines.dedup.walk import EDGE_BYTES, walk
from pipelines.dedup.walk_job import walk_graph
from pipelines.dedup.walk_plan import component_labels, plan_walk
from pipelines.engine.settings import Engine
from schemas.storage import Folder


def keepers(count: int, edges: Edges, folder: Path, *, budget: int, workers: int = 1) -> dict[int, int]:
    """The same from the walk, with `budget` edges held at once."""
    removed = walk_graph(
        np.ones(count, dtype=bool),
        lambda: in_batches(edges),
        len(edges),
        budget * EDGE_BYTES,
        Engine(workers=workers),
        Folder(str(folder)),
    )
    return {node: min(edges[edge]) for node, edge in zip(*(one.tolist() for one in removed), strict=True)}


GRAPHS = st.tuples(st.integers(1, 14), st.integers(0, 6), st.lists(st.booleans(), min_size=6, max_size=6)).flatmap(
    lambda drawn: st.tuples(
        st.just((drawn[0] + drawn[1], drawn[1], drawn[2][: drawn[1]])),
        st.lists(
            st.tuples(st.integers(0, drawn[0] + drawn[1] - 1), st.integers(0, drawn[0] + drawn[1] - 1)).filter(
                lambda edge: edge[0] != edge[1]
            ),
            max_size=40,
            unique_by=lambda edge: (min(edge), max(edge)),
        ),
    )
)


@given(GRAPHS)
def test_equal_to_an_elimination(graph: tuple[tuple[int, int, list[bool]], Edges]) -> None:
    (count, decided, fates), edges = graph
    edges = [edge for edge in edges if max(edge) >= decided]  # documents decided earlier have no decision left
    kept_before = fates + [True] * (count - decided)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    removed = walk(np.array(kept_before, dtype=bool), ends.max(axis=1), ends.min(axis=1))
    found = {node: min(edges[edge]) for node, edge in zip(*(one.tolist() for one in removed), strict=True)}
    assert found == keepers_by_elimination(kept_before, edges)
    stays = [kept and document not in found for document, kept in enumerate(kept_before)]
    assert all(stays[keeper] for keeper in found.values())
    assert not any(stays[one] and stays[other] for one, other in edges)


@given(GRAPHS, st.integers(1, 9))
def test_a_plan_holds_every_edge_within_the_budget(
    graph: tuple[tuple[int, int, list[bool]], Edges], budget: int
) -> None:
    (count, *_), edges = graph
    plan = plan_walk(count, lambda: in_batches(edges, 3), budget)
    labels = component_labels(count, lambda: in_batches(edges, 3))
    pieces = {piece.number: (task, piece.hub) for task, pieces in enumerate(plan.tasks) for piece in pieces}
    held: dict[int, Edges] = {}
    for edge in edges:
        held.setdefault(int(plan.piece_of[max(edge)]), []).append(edge)
        assert labels[edge[0]] == labels[edge[1]]
    for number, inside in held.items():
        hub = pieces[number][1]
        assert len(inside) <= budget if hub is None else {max(edge) for edge in inside} == {hub}
    for one, other in edges:
        assert pieces[int(plan.piece_of[one])][0] == pieces[int(plan.piece_of[other])][0] or not held.get(
            int(plan.piece_of[min(one, other)])
        )


STAR = 1_000_000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("budget", [10**9, 1500, 7])
def test_shapes_whole_and_in_rounds(shape: str, budget: int, tmp_path: Path) -> None:
    count, edges, stay = SHAPES[shape]
    found = keepers(count, edges, tmp_path, budget=budget)
    assert count - len(found) == stay
    assert found == keepers_by_elimination([True] * count, edges)


@pytest.mark.slow
def test_shapes_together_on_two_workers(tmp_path: Path) -> None:
    count, edges = mixed_shapes()
    assert keepers(count, edges, tmp_path, budget=900, workers=2) == keepers_by_elimination([True] * count, edges)


@pytest.mark.parametrize("hub_first", [True, False])
@pytest.mark.parametrize("budget", [STAR, 300_000])
def test_a_star_of_a_million(hub_first: bool, budget: int, tmp_path: Path) -> None:
    leaves = np.arange(1, STAR) if hub_first else np.arange(STAR - 1)
    hub = np.full(STAR - 1, 0 if hub_first else STAR - 1)
    lower, higher = np.maximum(leaves, hub), np.minimum(leaves, hub)
    parts = [slice(start, start + 250_000) for start in range(0, STAR - 1, 250_000)]
    removed = walk_graph(
        np.ones(STAR, dtype=bool),
        lambda: ((lower[part], higher[part]) for part in parts),
        STAR - 1,
        budget * EDGE_BYTES,
        Engine(),
        Folder(str(tmp_path)),
    )
    if hub_first:
        assert np.array_equal(removed.node, np.arange(1, STAR))
    else:
        assert (removed.node.tolist(), higher[removed.edge].tolist()) == ([STAR - 1], [0])


def test_what_earlier_decisions_removed_removes_nothing(tmp_path: Path) -> None:
    for budget in (100, 1):
        kept_before = np.array([True, False, True, True])
        edges = [(2, 1), (3, 0), (3, 1)]
        removed = walk_graph(
            kept_before,
            lambda edges=edges: in_batches(edges),
            len(edges),
            budget * EDGE_BYTES,
            Engine(),
            Folder(str(tmp_path / str(budget))),
        )
        assert [one.tolist() for one in removed] == [[3], [1]]


def test_no_edges_no_removals(tmp_path: Path) -> None:
    assert keepers(3, [], tmp_path, budget=1) == {}
