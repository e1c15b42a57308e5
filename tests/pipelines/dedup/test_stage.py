"""The stage on small texts: levels, traps, shapes, settings, manifests."""

from __future__ import annotations

import datetime
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
from schemas.catalog import manifest_of
from schemas.configs.dedup import DedupConfig, EdgeConfig, SignatureConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.storage import Folder

SHORT = "just three words"


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
        "duplicates": "7f3f61b758baf334",
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


def _greedy(corpus: Any) -> dict[str, str]:
    """By document that goes its keeper, from all pairs of texts in the order of content hashes."""
    rows = sorted(corpus.rows("documents", "p"), key=lambda row: row["content_hash"])
    grams = {row["url"]: set(zip(*(row["text"].split()[i:] for i in range(5)), strict=False)) for row in rows}
    kept: list[str] = []
    gone = {}
    for row in rows:
        name, mine = row["url"], grams[row["url"]]
        near = [one for one in kept if len(mine & grams[one]) / len(mine | grams[one]) >= 0.8]
        if near:
            gone[name] = near[0]
        else:
            kept.append(name)
    return gone


def test_stars_and_cliques_of_texts(corpus: Any, chain: Any) -> None:
    def other_words(text: str, place: int, count: int, mark: str) -> str:
        words = text.split()
        return " ".join([*words[:place], *(f"{mark}{i}" for i in range(count)), *words[place + count :]])

    texts = {"hub": chain("h", 0)}
    # A leaf is 176/216 = 0.815 like the hub, and 156/236 = 0.661 like another leaf.
    texts |= {f"leaf-{i}": other_words(chain("h", 0), 20 * i, 16, f"l{i}x") for i in range(10)}
    # Inside a clique 0.92 and more; the bridge is 0.83 like some of both, which are 0.7 like each other.
    for clique, shift in (("a", 0), ("b", 2)):
        base = chain("c", shift)
        texts |= {f"{clique}-{i}": other_words(base, 195, 1 + i % 5, f"{clique}{i}y") for i in range(8)}
    texts["bridge"] = chain("c", 1)
    corpus.put("p", texts)
    corpus.dedup()
    names = corpus.names("p")
    found = {names[row["removed_id"]]: names[row["kept_id"]] for row in corpus.rows("duplicates", "p")}
    assert found == _greedy(corpus)
    assert len({name[0] for name in texts if name not in found} & {"a", "b"}) == 2
