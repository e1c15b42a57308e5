"""The stage on small texts: levels, traps, shapes, settings, manifests."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from typing import Any

import apache_beam as beam
import pytest

from pipelines.dedup import find_candidates, stage, verify_candidates
from pipelines.dedup.edge_job import EdgeJob
from pipelines.dedup.find_candidates import FindCandidates
from pipelines.dedup.sign_documents import SignDocuments
from pipelines.dedup.stage import pending
from pipelines.dedup.verify_candidates import VerifyCandidates
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.catalog import manifest_of, require_manifest
from schemas.configs.dedup import DedupConfig, EdgeConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.storage import Folder

SHORT = "just three words"


def test_three_identical_documents_of_three_words_leave_one(corpus: Any) -> None:
    corpus.put("p", {"a": SHORT, "b": SHORT, "c": SHORT, "d": "three other words"})
    corpus.dedup()
    assert len(corpus.removed("p") & {"a", "b", "c"}) == 2
    assert "d" not in corpus.removed("p")
    assert {(row["level"], row["similarity"], row["band"]) for row in corpus.rows("duplicates", "p")} == {
        ("exact", 1.0, None)
    }


@pytest.mark.parametrize("short", [False, True])
def test_copies_of_an_earlier_document_all_go(corpus: Any, chain: Any, short: bool) -> None:
    text = SHORT if short else chain("w", 0)
    corpus.put("1", {"first": text})
    corpus.put("2", {"x": text, "y": text, "z": text, "other": chain("v", 0)})
    corpus.dedup()
    assert corpus.removed("1") == set()
    assert corpus.removed("2") == {"x", "y", "z"}
    (kept,) = corpus.names("1")
    assert all(row["kept_id"] == kept and row["kept_partition"] == "1" for row in corpus.rows("duplicates", "2"))


def test_copies_of_a_document_that_went_earlier_follow_it(corpus: Any, chain: Any) -> None:
    corpus.put("1", {"a": chain("w", 0), "b": chain("w", 1)})
    corpus.put("2", {"a2": chain("w", 0), "b2": chain("w", 1)})
    corpus.dedup()
    (gone,) = corpus.rows("duplicates", "1")
    rows = {row["level"]: row for row in corpus.rows("duplicates", "2")}
    assert gone["similarity"] == (196 - 15) / (196 + 15)
    assert {row["kept_id"] for row in rows.values()} == {gone["kept_id"]}
    assert (rows["near"]["similarity"], rows["near"]["band"]) == (gone["similarity"], gone["band"])
    assert rows["exact"]["similarity"] == 1.0


def test_a_chain_is_not_followed(corpus: Any, chain: Any) -> None:
    texts = {f"link-{i}": chain("w", i) for i in range(30)}
    corpus.put("p", texts)
    corpus.dedup()
    names = corpus.names("p")
    removed = corpus.removed("p")
    for row in corpus.rows("duplicates", "p"):
        here, there = (int(names[row[name]].split("-")[1]) for name in ("removed_id", "kept_id"))
        assert abs(here - there) == 1
        assert names[row["kept_id"]] not in removed
    assert not any(f"link-{i}" not in removed and f"link-{i + 1}" not in removed for i in range(29))


def test_order_and_files_of_the_input_change_nothing(make_corpus: Any, chain: Any) -> None:
    texts = {f"{family}-{i}": chain(family, i // 2) for family in "abc" for i in range(8)}
    found = []
    for files, reverse in ((1, False), (3, True), (7, False)):
        corpus = make_corpus()
        corpus.put("p", dict(sorted(texts.items(), reverse=reverse)), files=files)
        corpus.dedup()
        tables = [corpus.rows(name, "p") for name in ("signatures", "edges", "duplicates")]
        found.append([sorted(map(str, rows)) for rows in tables])
    assert len(found[0][2]) > 12
    assert all(other == found[0] for other in found)


def test_order_of_sources_is_the_order_of_the_corpus(corpus: Any, chain: Any) -> None:
    corpus.root.folder.put_whole("corpus.toml", b'sources = ["zeta", "alpha"]')
    corpus.put("p", {"a": chain("w", 0)}, source="alpha")
    corpus.put("p", {"z": chain("w", 0)}, source="zeta")
    corpus.dedup()
    assert corpus.removed("p", "zeta") == set()
    assert corpus.removed("p", "alpha") == {"a"}


def test_ranges_of_keys_change_nothing(make_corpus: Any, monkeypatch: pytest.MonkeyPatch, chain: Any) -> None:
    texts = {f"{family}-{i}": chain(family, i) for family in "abc" for i in range(5)}
    rows = []
    for key_bytes in (200, 2**22):
        monkeypatch.setattr(find_candidates, "_KEY_BYTES", key_bytes)  # one range, and 32 of them
        corpus = make_corpus()
        corpus.put("p", texts)
        corpus.dedup(memory_mib=64)
        rows.append(corpus.rows("edges", "p"))
    assert len(rows[0]) == 12
    assert rows[0] == rows[1]


def test_a_bucket_over_its_limit_is_compared_in_part_and_counted(corpus: Any, chain: Any) -> None:
    # 12 texts that differ in the last word only: every band of nearly every pair agrees.
    corpus.put("p", [chain("w", 0) + f" end{i}" for i in range(12)])
    outcome = corpus.dedup(max_bucket=3).outcomes[-1]
    assert outcome.manifest.counts["pairs_not_compared"] > 0
    assert outcome.manifest.counts["candidate_pairs"] < 12 * 11 // 2
    assert outcome.manifest.counts["near_removed"] == 11


def test_only_exact(corpus: Any, chain: Any) -> None:
    corpus.put("p", {"a": chain("w", 0), "a2": chain("w", 0), "b": chain("w", 1), "s": SHORT, "s2": SHORT})
    outcomes = corpus.dedup(levels=("exact",)).outcomes
    assert [outcome.manifest.stage for outcome in outcomes] == ["dedup"]
    assert outcomes[0].manifest.counts == {"documents": 5, "exact_removed": 2, "near_removed": 0}


def test_only_near(corpus: Any, chain: Any) -> None:
    corpus.put("p", {"a": chain("w", 0), "a2": chain("w", 0), "b": chain("w", 1), "s": SHORT, "s2": SHORT})
    corpus.dedup(levels=("near",))
    rows = corpus.rows("duplicates", "p")
    assert len(rows) == 2
    assert {row["level"] for row in rows} == {"near"}
    assert not corpus.removed("p") & {"s", "s2"}


def test_clusters_say_what_a_keeper_stands_for(corpus: Any) -> None:
    corpus.put("1", {"a": SHORT})
    corpus.put("2", {"b": "another text altogether", "x": SHORT, "y": SHORT})
    corpus.dedup()
    assert corpus.rows("clusters", "1") == []
    (row,) = corpus.rows("clusters", "2")
    (kept,) = corpus.names("1")
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert row == {
        "kept_id": kept,
        "kept_source": "web",
        "kept_partition": "1",
        "copies": 2,
        "first_seen": day + datetime.timedelta(days=1),
        "last_seen": day + datetime.timedelta(days=2),
        "sources": ["web"],
    }


def test_manifest_tells_what_a_report_shows(corpus: Any, chain: Any) -> None:
    corpus.put("p", {"a": chain("w", 0), "a2": chain("w", 0), "b": chain("w", 1), "c": chain("c", 0)})
    manifest = corpus.dedup().outcomes[-1].manifest
    # "a" ranks before "b" by its content hash, so it stays and its copy goes at level exact.
    assert manifest.counts == {
        "documents": 4,
        "exact_removed": 1,
        "near_removed": 1,
        "candidate_pairs": 1,
        "verified_edges": 1,
        "pairs_not_compared": 0,
    }
    assert manifest.notes["example"]["similarity"] == (196 - 15) / (196 + 15)
    assert manifest.notes["example"]["level"] == "near"
    assert (manifest.notes["bands"], manifest.notes["rows"]) == (18, 6)
    assert [0.8, 0.995798] in manifest.notes["recall_by_similarity"]


def test_partitions_without_documents_or_shingles(corpus: Any) -> None:
    corpus.put("1", {})
    corpus.put("2", {"a": SHORT, "b": "other"})
    corpus.put("3", {"c": SHORT})
    corpus.dedup()
    assert corpus.removed("3") == {"c"}
    assert [len(corpus.rows("edges", partition)) for partition in "123"] == [0, 0, 0]


def test_no_documents(corpus: Any) -> None:
    with pytest.raises(InputError, match=r"no documents of any partition in .*; run the stage that writes documents"):
        corpus.dedup()
    with pytest.raises(InputError, match="no documents of any partition"):
        pending(corpus.request())


def test_rows_equal_the_golden_ones(corpus: Any, chain: Any) -> None:
    # Digests of this very code's first version. When they change, STAGE_VERSION must change too, so that what is
    # stored is done again.
    corpus.put("1", {f"{family}-{i}": chain(family, i) for family in "ab" for i in range(4)})
    corpus.put("2", {"copy": chain("a", 1), "next": chain("b", 4), "s": SHORT, "s2": SHORT})
    corpus.dedup()
    digests = {}
    for table in ("signatures", "edges", "duplicates", "clusters"):
        manifest = manifest_of(corpus.root, table, PartitionKey("web", "2"))
        assert manifest is not None
        digests[table] = manifest.tables[table].digest[:16]
    assert stage.STAGE_VERSION == 2
    assert digests == {
        "signatures": "b3026f32676ebb95",
        "edges": "e7bc2cad4b251196",
        "duplicates": "d2938dae2fcfbb0c",
        "clusters": "304f0bfc9fed2b12",
    }


def _labels(pipeline: beam.Pipeline) -> list[str]:
    labels: list[str] = []

    class Visitor(beam.pipeline.PipelineVisitor):
        def enter_composite_transform(self, node: object) -> None:
            labels.append(node.full_label)

        def visit_transform(self, node: object) -> None:
            labels.append(node.full_label)

    pipeline.visit(Visitor())
    return labels


def test_read_compute_group_and_write_are_separate_steps() -> None:
    pipeline = beam.Pipeline()
    folder = Folder("memory://dedup")
    job = EdgeJob((), EdgeConfig(), folder, 2**20, 0)
    listed = pipeline | beam.Create([])
    _ = listed | "Sign" >> SignDocuments(SignatureConfig(), folder)
    _ = listed | "Candidates" >> FindCandidates(job, 0) | "Verify" >> VerifyCandidates(job)
    labels = _labels(pipeline)
    for step in (
        *("Sign/Read", "Sign/Compute", "Sign/Parts/Group", "Sign/Parts/Write"),
        *("Candidates/Read", "Candidates/Compute", "Candidates/Group", "Candidates/Pair"),
        *("Verify/GroupByLeft", "Verify/ReadLeft", "Verify/ComputeSets"),
        *("Verify/GroupByRight", "Verify/ReadRight", "Verify/Compute", "Verify/Parts/Group", "Verify/Parts/Write"),
    ):
        assert step in labels, labels


@pytest.mark.slow
def test_two_workers_give_the_same_rows_as_one(make_corpus: Any, monkeypatch: pytest.MonkeyPatch, chain: Any) -> None:
    monkeypatch.setattr(stage, "_BYTES_PER_WORKER", 1)
    found = []
    for workers in (1, 2):
        corpus = make_corpus()
        corpus.put("p", {f"{family}-{i}": chain(family, i // 2) for family in "abcdef" for i in range(9)}, files=4)
        result = corpus.dedup(workers=workers)
        found.append([outcome.manifest.digest() for outcome in result.outcomes])
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_hash_seed_of_the_process_changes_nothing(make_corpus: Any, chain: Any) -> None:
    found = []
    for seed in ("1", "2"):
        corpus = make_corpus()
        corpus.put("p", {f"{family}-{i}": chain(family, i // 2) for family in "abc" for i in range(9)})
        words = [sys.executable, "-m", "flows.cli", "run", "dedup", "--root", corpus.root.folder.url, "--workers", "1"]
        subprocess.run(words, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)
        tables = ("signatures", "edges", "duplicates")
        found.append([require_manifest(corpus.root, table, PartitionKey("web", "p")).digest() for table in tables])
    assert found[0] == found[1]


def test_small_partitions_start_no_further_worker(corpus: Any, monkeypatch: pytest.MonkeyPatch, chain: Any) -> None:
    used = []
    monkeypatch.setattr(
        "pipelines.dedup.find_edges.run_pipeline", lambda build, engine, name, folder: used.append(engine.workers)
    )
    corpus.put("p", {"a": chain("w", 0)})
    corpus.dedup(workers=8)
    assert used == [1]


def test_request_of_a_partition_that_is_not_there(corpus_root: CorpusRoot) -> None:
    request = StageRequest(root=corpus_root, config=DedupConfig(), engine=Engine(), source="web", partition="9")
    with pytest.raises(InputError, match="no documents of web/9"):
        stage.run(request)


def test_texts_of_equal_shingles_crowd_nobody_out_of_a_large_bucket(corpus: Any, chain: Any) -> None:
    # 12 texts that differ in case and punctuation alone have one set of shingles; one more is like them.
    texts = {f"same-{i}": chain("w", 0).replace(" ", "! ", i + 1).replace("w1 ", "W1 ") for i in range(12)}
    corpus.put("p", {**texts, "like": chain("w", 1)})
    outcome = corpus.dedup(max_bucket=2).outcomes[-1]
    assert outcome.manifest.counts["pairs_not_compared"] == 0
    assert outcome.manifest.counts["near_removed"] == 12


def test_texts_of_a_script_without_spaces_are_compared_by_characters(corpus: Any) -> None:
    signs = [chr(0x4E00 + 7 * i) for i in range(200)]
    one, other = "".join(signs), "".join([*signs[:100], "字", *signs[101:]])
    corpus.put("p", {"one": one, "other": other, "end": "".join(signs[100:])})
    corpus.dedup()
    (row,) = corpus.rows("duplicates", "p")
    # 200 characters have 191 10-grams; the changed one is in 10 of them.
    assert row["similarity"] == 181 / 201


def test_long_texts_that_are_alike_in_their_beginning_alone_both_stay(corpus: Any) -> None:
    start = [f"w{i}" for i in range(100_000)]
    corpus.put("p", {family: " ".join([*start, *(f"{family}{i}" for i in range(60_000))]) for family in "ab"})
    corpus.dedup(threshold=0.5)
    assert corpus.removed("p") == set()  # 99,996 of 219,996 and some are common: 0.4545
    corpus.dedup(threshold=0.45)
    (edge,) = corpus.rows("edges", "p")
    assert edge["similarity"] == 99_996 / (2 * 159_996 - 99_996)


def test_small_budgets_change_nothing(make_corpus: Any, monkeypatch: pytest.MonkeyPatch, chain: Any) -> None:
    texts = {f"{family}-{i}": chain(family, i) for family in "abc" for i in range(9)}
    rows = []
    for pair_bytes, text_bytes in ((200, 6), (2**22, 2**20)):
        monkeypatch.setattr(verify_candidates, "_PAIR_BYTES", pair_bytes)
        monkeypatch.setattr(verify_candidates, "_TEXT_BYTES", text_bytes)
        corpus = make_corpus()
        corpus.put("p", texts, files=2)
        outcome = corpus.dedup(memory_mib=64).outcomes[-1]
        rows.append((corpus.rows("edges", "p"), outcome.manifest.counts))
    assert len(rows[0][0]) == 24
    assert rows[0] == rows[1]
