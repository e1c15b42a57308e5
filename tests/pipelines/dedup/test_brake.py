"""The brakes: what they count, what they report, that a warning goes on and a stop commits nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.dedup.brake import report_place
from pipelines.dedup.stage import pending
from schemas.catalog import manifest_of
from schemas.corpus_root import PartitionKey
from schemas.errors import LossBrakeError

KEY = PartitionKey("web", "2026/30")


@pytest.fixture
def put(corpus: Any) -> Any:
    """Twelve documents: six of one text, three of another, three that nobody repeats."""
    texts = {f"{name}{n}": name * 3 for name, count in (("a", 6), ("b", 3)) for n in range(count)}
    corpus.put(KEY.partition, texts | {name: name for name in "xyz"})
    return corpus


def report(corpus: Any) -> dict[str, Any]:
    folder, name = report_place(corpus.root, KEY)
    return json.loads(folder.read(name))


def test_a_stop_commits_nothing_and_says_why(put: Any) -> None:
    settings = {"levels": ("exact",), "brake": 0.5, "brake_least_documents": 12, "brake_action": "stop"}
    with pytest.raises(
        LossBrakeError,
        match=r"web/2026/30: source web loses 7 of 12 documents \(58\.3%\) to deduplication, the brake is at 50\.0%; "
        r"5 of 12 documents go to one keeper, [0-9a-f]{32}, the brake is at 20\.0%; nothing was committed: look at "
        r"the samples in .*brakes-dedup/web/2026\+30\.json, then change the settings, or go on with --set "
        "brake_action=warn",
    ):
        put.dedup(**settings)
    assert manifest_of(put.root, "duplicates", KEY) is None
    assert put.rows("duplicates", KEY.partition) == []
    said = report(put)
    assert (said["source"]["lost"], said["source"]["documents"]) == (7, 12)
    assert said["cluster"]["copies"] == 5
    assert len(said["source"]["samples"]) == len(said["cluster"]["samples"]) == 5
    for sample in said["cluster"]["samples"]:
        assert (sample["level"], sample["similarity"]) == ("exact", 1.0)
        assert sample["kept"]["document_id"] == said["cluster"]["kept_id"]
        assert {sample["kept"]["url"][0], sample["removed"]["url"][0]} == {"a"}
    put.dedup(**(settings | {"brake_action": "warn"}))
    assert len(put.rows("duplicates", KEY.partition)) == 7


def test_a_warning_goes_into_the_manifest_and_goes_away(put: Any) -> None:
    settings = {"levels": ("exact",), "brake_least_documents": 12}
    (outcome,) = put.dedup(**settings).outcomes
    brake = outcome.manifest.notes["brake"]
    assert brake["said"][0].startswith("5 of 12 documents go to one keeper")
    assert brake["report"] == report_place(put.root, KEY)[0].path("2026+30.json")
    assert "source" not in report(put)
    # Brakes make nothing stale: the same decisions hold, and the report of a later look replaces this one.
    assert pending(put.request(**settings, cluster_brake=0.9)) == 0
    put.put(KEY.partition, {"a0": "other", "a1": "texts"})
    (outcome,) = put.dedup(**settings).outcomes
    assert "brake" not in outcome.manifest.notes
    assert not report_place(put.root, KEY)[0].exists("2026+30.json")


def test_a_source_is_its_partitions_so_far(corpus: Any) -> None:
    texts = {f"{n}": f"text {n}" for n in range(12)}
    settings = {"levels": ("exact",), "brake": 0.5, "brake_least_documents": 12, "cluster_brake": 1.0}
    for partition in ("1", "2", "3"):
        corpus.put(partition, texts)
    corpus.put("1", texts, source="other")
    notes = {str(outcome.key): outcome.manifest.notes for outcome in corpus.dedup(**settings).outcomes}
    # The source `other` comes first by name and loses nothing.
    assert {key for key, note in notes.items() if "brake" in note} == {"web/1", "web/2", "web/3"}
    assert notes["web/3"]["brake"]["said"] == [
        "source web loses 36 of 36 documents (100.0%) to deduplication, the brake is at 50.0%"
    ]


def test_few_documents_and_the_share_itself_do_not_brake(put: Any) -> None:
    at_once = {"levels": ("exact",), "brake": 7 / 12, "cluster_brake": 5 / 12, "brake_least_documents": 1}
    (outcome,) = put.dedup(**at_once).outcomes
    assert "brake" not in outcome.manifest.notes
    put.put(KEY.partition, {"a0": "other", "a1": "other"})
    (outcome,) = put.dedup(levels=("exact",), brake=0.0, cluster_brake=0.0, brake_least_documents=3).outcomes
    assert "brake" not in outcome.manifest.notes
