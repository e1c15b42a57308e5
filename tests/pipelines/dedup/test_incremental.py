"""Partitions one by one, filled in late, or all at once: the same end."""

from __future__ import annotations

import json
import lzma
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import files, wait_until

from pipelines.corpus_digest import corpus_digest
from pipelines.dedup import edge_job
from pipelines.dedup.band_index import KeyFilter
from pipelines.dedup.stage import pending
from schemas.corpus_root import PartitionKey
from schemas.errors import ContractError, StageError

TABLES = ("signatures", "edges", "bands", "duplicates", "clusters")
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


def test_earlier_signatures_are_not_read_again(make_corpus: Any, texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = PARTITIONS
    scratch, indexed = make_corpus(), make_corpus()
    for corpus in (scratch, indexed):
        for partition in PARTITIONS:
            corpus.put(partition, texts[partition], files=2)
    scratch.dedup()
    for partition in (first, second):
        indexed.dedup(partition=partition)
    for partition in (first, second):
        folder = indexed.root.partition_folder("signatures", PartitionKey("web", partition))
        for file in Path(folder.path()).glob("part*"):
            file.write_bytes(b"whoever reads this fails")
    indexed.dedup(partition=third)
    assert [indexed.rows(table, third) for table in TABLES] == [scratch.rows(table, third) for table in TABLES]
    assert len(indexed.rows("bands", third)) == len(texts[third]) - 1  # "s" has no shingle
    # Under other settings the index does not hold, and signatures are what bands are made of.
    with pytest.raises(StageError, match="Parquet magic bytes not found"):
        indexed.dedup(partition=third, threshold=0.7)


def test_indexed_files_in_groups_or_one_by_one(make_corpus: Any, texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for most in (1, 2**16):
        monkeypatch.setattr(edge_job, "_GROUP_ROWS", most)
        corpus = make_corpus()
        for partition in PARTITIONS:
            corpus.put(partition, texts[partition], files=2)
        corpus.dedup(audit_documents=0)
        found.append(end_state(corpus))
    assert found[0] == found[1]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=200), st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_the_filter_of_keys_lets_all_of_them_pass(keys: list[int], others: list[int]) -> None:
    mine = np.array(keys, dtype=np.uint64)
    for most_bytes in (2**20, 70):
        made = KeyFilter.from_bytes(KeyFilter.of(len(keys), [mine[:7], mine[7:]], most_bytes).to_bytes())
        assert made.that_may_be(mine).tolist() == list(range(len(mine)))
        assert len(made.bits) <= most_bytes
    assert not len(KeyFilter.of(0, [], 2**20).that_may_be(np.array(others, dtype=np.uint64)))


def test_the_filter_of_keys_stops_most_others() -> None:
    draw = np.random.default_rng(5)
    keys, others = (draw.integers(0, 2**64, 100_000, dtype=np.uint64) for _ in range(2))
    # Of three bits in a map that 3 bits for every 21 are set in: (1 - e^-1/7)^3; where 5.2 bits a key must do, 0.083.
    for most_bytes, passing in ((2**30, 0.005), (2**16, 0.1)):
        found = KeyFilter.of(len(keys), [keys], most_bytes).that_may_be(others)
        assert len(found) / len(others) < passing


@pytest.mark.slow
def test_four_releases_of_real_pages_end_alike_in_order_late_and_from_scratch(
    make_corpus: Any, shared_data: Path
) -> None:
    lines = lzma.decompress((shared_data / "dedup/versioned-docs/docs.jsonl.xz").read_bytes()).decode().splitlines()
    releases: dict[str, dict[str, str]] = {}
    for row in map(json.loads, lines):
        release, _, name = row["id"].partition("/")
        releases.setdefault(release.removeprefix("rel-"), {})[name] = row["text"]
    names = sorted(releases)
    assert [len(releases[name]) for name in names] == [170, 229, 262, 260]

    def ended(corpus: Any) -> dict[tuple[str, str], list[dict[str, Any]]]:
        return {(table, name): corpus.rows(table, name) for table in TABLES for name in names}

    scratch, ordered, late = make_corpus(), make_corpus(), make_corpus()
    for name in names:
        scratch.put(name, releases[name])
    scratch.dedup(audit_documents=0)
    for name in names:
        ordered.put(name, releases[name])
        ordered.dedup(partition=name, audit_documents=0)
    for name in (names[0], names[2], names[3], names[1]):
        late.put(name, releases[name])
        late.dedup(audit_documents=0)
    expected = ended(scratch)
    assert sum(len(expected["duplicates", name]) for name in names) > 400
    assert ended(ordered) == expected
    assert ended(late) == expected


@pytest.mark.slow
def test_five_kills_change_nothing(make_corpus: Any, texts: Any) -> None:
    undisturbed, killed = make_corpus(), make_corpus()
    for corpus in (undisturbed, killed):
        for partition in PARTITIONS:
            corpus.put(partition, texts[partition], files=2)
    undisturbed.dedup()
    place = Path(killed.root.url)
    moments = (
        ".work/dedup-signatures/web/*/*",
        f"signatures/web/{PARTITIONS[1]}/manifest.json",
        ".work/dedup-edges/web/*/*/spill/*",
        f"edges/web/{PARTITIONS[1]}/part-*",
        f"duplicates/web/{PARTITIONS[1]}/manifest.json",
    )
    # It waits to be killed where it is through.
    run = "import sys, time; from flows.cli.main import run; run(sys.argv[1:]); time.sleep(600)"
    command = [sys.executable, "-c", run, "run", "dedup", "--root", str(place), "--workers", "1"]
    for moment in moments:
        with subprocess.Popen(
            command, cwd=Path(__file__).parents[3], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_until(lambda moment=moment: files(place, moment), moment)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    killed.dedup()
    assert corpus_digest(killed.root).by_table == corpus_digest(undisturbed.root).by_table
    assert pending(killed.request()) == 0
