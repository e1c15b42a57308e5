"""Partitions one by one, filled in late, or all at once: the same end."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.dedup.stage import pending
from schemas.corpus_root import PartitionKey
from schemas.errors import ContractError

TABLES = ("signatures", "edges", "duplicates", "clusters")
PARTITIONS = ("2026-1", "2026-2", "2026-10")


@pytest.fixture
def texts(chain: Any) -> dict[str, dict[str, str]]:
    """Texts of three partitions that have exact and near copies in each other."""
    first, second, third = PARTITIONS
    return {
        first: {f"{family}-{i}": chain(family, 2 * i) for family in "abc" for i in range(4)} | {"s": "a few words"},
        second: {f"{family}-{i}": chain(family, 2 * i + 1) for family in "bcd" for i in range(4)}
        | {"copy": chain("a", 2)},
        third: {f"{family}-{i}": chain(family, i) for family in "acde" for i in range(6)} | {"s": "a few words"},
    }


def end_state(corpus: Any) -> dict[tuple[str, str], list[dict[str, Any]]]:
    return {(table, partition): corpus.rows(table, partition) for table in TABLES for partition in PARTITIONS}


def done(corpus: Any, **wanted: Any) -> list[tuple[str, str]]:
    """(unit, partition) of what one call does."""
    expected = pending(corpus.request(**wanted))
    outcomes = [outcome for outcome in corpus.dedup(**wanted).outcomes if outcome.status == "done"]
    assert len(outcomes) <= expected
    assert pending(corpus.request(**wanted)) == 0
    return [(outcome.manifest.stage.removeprefix("dedup-"), outcome.key.partition) for outcome in outcomes]


def test_in_order_late_and_from_scratch_end_alike(make_corpus: Any, texts: Any) -> None:
    first, second, third = PARTITIONS
    scratch, ordered, late = make_corpus(), make_corpus(), make_corpus()
    for partition in PARTITIONS:
        scratch.put(partition, texts[partition])
    scratch.dedup()
    expected = end_state(scratch)
    assert sum(len(expected["duplicates", partition]) for partition in PARTITIONS) > 15

    for partition in PARTITIONS:
        ordered.put(partition, texts[partition])
        assert done(ordered) == [(unit, partition) for unit in ("signatures", "edges", "dedup")]
    assert end_state(ordered) == expected

    for partition in (first, third):
        late.put(partition, texts[partition])
    late.dedup()
    assert end_state(late) != expected
    late.put(second, texts[second])
    assert done(late) == [
        ("signatures", second),
        ("edges", second),
        ("dedup", second),
        ("edges", third),
        ("dedup", third),
    ]
    assert end_state(late) == expected


def test_the_same_texts_in_two_partitions_leave_one_of_each(corpus: Any, chain: Any) -> None:
    same = {f"{family}-0": chain(family, 0) for family in "abcdef"} | {"s": "short one"}
    corpus.put("1", same)
    corpus.put("2", same)
    corpus.dedup()
    assert corpus.removed("1") == set()
    assert corpus.removed("2") == set(same)


def test_one_partition_alone_meets_the_others_as_they_are(corpus: Any, texts: Any) -> None:
    for partition in PARTITIONS:
        corpus.put(partition, texts[partition])
    assert done(corpus, partition="2026-2") == [
        ("signatures", "2026-1"),
        ("signatures", "2026-2"),
        ("edges", "2026-2"),
        ("dedup", "2026-2"),
    ]
    # The first partition has decided nothing, so all of its documents are there to be kept.
    names = corpus.names("2026-2")
    keepers = {names[row["removed_id"]]: row["kept_partition"] for row in corpus.rows("duplicates", "2026-2")}
    assert keepers["b-0"] == keepers["copy"] == "2026-1"
    assert ("dedup", "2026-2") in done(corpus)  # which is not what the whole corpus gives


def test_changed_settings_redo_what_depends_on_them(corpus: Any, texts: Any) -> None:
    corpus.put("p", texts["2026-1"])
    corpus.dedup()
    assert done(corpus, memory_mib=128) == []
    assert {unit for unit, _ in done(corpus, threshold=0.7)} == {"edges", "dedup"}
    assert {unit for unit, _ in done(corpus, threshold=0.7, levels=("near",))} == {"dedup"}
    assert {unit for unit, _ in done(corpus, threshold=0.7, levels=("near",), ngram=4)} == {
        "signatures",
        "edges",
        "dedup",
    }


def test_decisions_that_name_a_partition_that_is_gone(corpus: Any, chain: Any) -> None:
    corpus.put("1", {"a": chain("w", 0)})
    corpus.put("2", {"b": chain("w", 0)})
    corpus.dedup()
    corpus.put("3", {"c": chain("w", 0)})
    corpus.root.partition_folder("documents", PartitionKey("web", "1")).remove_tree()
    with pytest.raises(ContractError, match="duplicates of web/2 names web/1, which has no documents any more; run"):
        corpus.dedup(partition="3")
    corpus.dedup()
    assert (corpus.removed("2"), corpus.removed("3")) == (set(), {"c"})
