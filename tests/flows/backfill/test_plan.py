"""Plans: a decision and its reason for each partition, of manifests and of the ledger."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fake_units import FakeCorpus

from flows.backfill import claims
from flows.backfill.claims import Claims
from flows.backfill.estimate import estimate_plan
from flows.backfill.ledger import Ledger
from flows.backfill.plan import Plan, make_plan
from flows.backfill.requests import Asked
from flows.backfill.verbs import plan_json
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError, InputError
from schemas.ledger import Backfill, Failure


def decisions(plan: Plan) -> dict[str, str]:
    return {key.partition: plan.of(key).decision for key in plan.asked.keys}


def reason(plan: Plan, partition: str, stage: str | None = None) -> str:
    key = PartitionKey("web", partition)
    return (plan.units[stage][key] if stage else plan.of(key)).reason


def failed(asked: Asked, partition: str, attempts: int, stage: str = "clean") -> None:
    about = {"source": "web", "partition": partition, "cause": "the disk was full", "error": "StageError"}
    about |= {"can_help": True, "failed_at": time.time(), "backfill": "b", "asked": asked.digest(stage)}
    record = Failure(stage=stage, attempts=attempts, **about)
    Ledger(asked.root).put_failure(record)


def test_what_is_there_is_done_and_what_is_not_is_missing_or_blocked(corpus: FakeCorpus):
    corpus.raw("1")
    corpus.raw("2")
    corpus.run("clean", "1")
    plan = make_plan(corpus.asked("clean", "1..3"))
    assert decisions(plan) == {"1": "done", "2": "missing", "3": "blocked"}
    assert reason(plan, "1") == "digest equal"
    assert "raw/3.txt; give a file, a folder or a URL that exists" in reason(plan, "3")
    assert [unit.key.partition for unit in plan.to_do()] == ["2"]


def test_stale_says_what_changed(corpus: FakeCorpus):
    corpus.chain("1", "2", "3")
    assert decisions(make_plan(corpus.asked("corpus", "1..3"))) == {"1": "done", "2": "done", "3": "done"}

    plan = make_plan(corpus.asked("dedup", "1..2", overrides=("threshold=0.7",)))
    assert reason(plan, "1") == "setting threshold was 0.8, is 0.7"
    assert reason(plan, "2") == "web/1 comes before it and is done first"
    corpus.raw("2", "another page")
    assert "input " in (said := reason(make_plan(corpus.asked("clean", "2")), "2"))
    assert said.endswith("/raw/2.txt changed")
    corpus.run("clean", "2")
    assert reason(make_plan(corpus.asked("dedup", "2")), "2") == "input documents/web/2 changed"
    assert (
        reason(make_plan(corpus.asked("dedup", "3")), "3")
        == "signatures of web/2, which comes before it, are made first"
    )
    corpus.run("dedup", "2")
    assert "signatures of an earlier partition changed" in reason(make_plan(corpus.asked("dedup", "3")), "3")
    corpus.raw("0")
    corpus.run("clean", "0")
    corpus.run("dedup", "0")
    plan = make_plan(corpus.asked("dedup", "1"))
    assert "an earlier partition was filled in (0 before it, now 1)" in reason(plan, "1")
    corpus.tokenizer("bpe", "[]")
    assert reason(make_plan(corpus.asked("tokenize", "1")), "1") == "tokenizer bpe changed"
    corpus.tokenizer("other")
    plan = make_plan(corpus.asked("tokenize", "1", overrides=("tokenizer=other",)))
    assert decisions(plan) == {"1": "missing"}


def test_another_version_of_a_stage_makes_stale(corpus: FakeCorpus, monkeypatch: pytest.MonkeyPatch):
    corpus.raw("1")
    corpus.run("clean", "1")
    monkeypatch.setattr("pipelines.cleaning.stage.STAGE_VERSION", 99)
    said = reason(make_plan(corpus.asked("clean", "1")), "1")
    assert said.startswith("clean is of version 99, it was done by version ")


def test_a_stage_without_what_it_reads_is_blocked(tmp_path: Path):
    corpus = FakeCorpus(tmp_path)
    corpus.raw("1")
    assert reason(make_plan(corpus.asked("dedup", "1")), "1") == "documents of web/1 are missing; run clean first"
    corpus.run("clean", "1")
    assert "no tokenizer 'bpe'" in reason(make_plan(corpus.asked("tokenize", "1")), "1")
    plan = make_plan(corpus.asked("decontaminate", "1", evaluations=()))
    assert decisions(plan) == {"1": "blocked"}
    assert "no evaluation files were given, and none were read before as 'benchmarks'" in reason(plan, "1")


def test_the_chain_waits_for_its_own_stages(corpus: FakeCorpus):
    corpus.chain("2", "3")
    corpus.raw("1")
    plan = make_plan(corpus.asked("corpus", "1..3"))
    assert decisions(plan) == {"1": "missing", "2": "stale", "3": "stale"}
    assert reason(plan, "1", "dedup") == "after clean"
    assert plan.units["clean"][PartitionKey("web", "2")].decision == "done"
    assert reason(plan, "2") == "web/1 comes before it and is done first"
    assert {name for name, _ in (unit.name for unit in plan.to_do())} == {"clean", "dedup", "decontaminate", "tokenize"}


def test_the_tokenizer_is_made_once_of_all_partitions(tmp_path: Path):
    corpus = FakeCorpus(tmp_path)
    corpus.raw("1")
    plan = make_plan(corpus.asked("corpus", "1"))
    assert plan.tokenizer is not None
    assert plan.tokenizer.decision == "missing"
    assert [unit.stage for unit in plan.to_do()][-2:] == ["tokenizer", "tokenize"]
    blocked = make_plan(corpus.asked("corpus", "1..2"))
    assert blocked.tokenizer is not None
    assert "tokenizer 'bpe' is made of all partitions, and 2 cannot be; see to these" in blocked.tokenizer.reason
    assert blocked.units["tokenize"][PartitionKey("web", "1")].decision == "blocked"
    corpus.tokenizer()
    assert make_plan(corpus.asked("corpus", "1..2")).tokenizer is None


def test_a_failure_counts_until_something_is_asked_for_in_another_way(corpus: FakeCorpus):
    for name in ("1", "2"):
        corpus.raw(name)
    asked = corpus.asked("clean", "1..2")
    failed(asked, "1", 1)
    failed(asked, "2", 3)
    plan = make_plan(asked)
    assert decisions(plan) == {"1": "failed", "2": "poisoned"}
    assert reason(plan, "1") == "once, last: the disk was full"
    assert reason(plan, "2") == "3 times, last: the disk was full"
    assert [unit.key.partition for unit in plan.to_do()] == ["1"]
    other = make_plan(corpus.asked("clean", "1..2", overrides=("rules=[]",)))
    assert decisions(other) == {"1": "missing", "2": "missing"}
    corpus.run("clean", "2")
    assert decisions(make_plan(asked)) == {"1": "failed", "2": "done"}


@pytest.mark.parametrize(("reprocess", "to_do"), [("none", ["4"]), ("failed", ["3", "4"]), ("stale", ["2", "3", "4"])])
def test_reprocess_says_what_is_done_beside_what_is_missing(corpus: FakeCorpus, reprocess: str, to_do: list[str]):
    for name in ("1", "2", "3", "4"):
        corpus.raw(name)
    corpus.run("clean", "1")
    corpus.run("clean", "2")
    corpus.raw("2", "another page")
    asked = corpus.asked("clean", "1..4", reprocess=reprocess)
    failed(asked, "3", 1)
    assert [unit.key.partition for unit in make_plan(asked).to_do()] == to_do


def test_what_another_process_works_on_is_running(corpus: FakeCorpus):
    corpus.raw("1")
    claim = Claims(corpus.root).take("clean", PartitionKey("web", "1"), "b")
    assert claim is not None
    plan = make_plan(corpus.asked("clean", "1"))
    assert decisions(plan) == {"1": "running"}
    assert reason(plan, "1") == f"by process {claim.record.pid} on {claims.socket.gethostname()}"
    claim.release()
    assert decisions(make_plan(corpus.asked("clean", "1"))) == {"1": "missing"}


def test_without_inputs_the_crawl_is_read_or_what_was_read_before(corpus: FakeCorpus):
    corpus.raw("1")
    corpus.run("clean", "1")
    asked = corpus.asked("clean", "1..2", inputs=())
    assert decisions(make_plan(asked)) == {"1": "done", "2": "blocked"}
    assert asked.inputs("clean", PartitionKey("web", "1")) == (corpus.template.format(partition="1"),)
    assert asked.inputs("clean", PartitionKey("web", "2")) == (f"{corpus.root.url}/crawl/web/2",)


def test_estimates_come_from_what_was_done(corpus: FakeCorpus):
    for name in ("1", "2", "3"):
        corpus.raw(name)
    assert estimate_plan(make_plan(corpus.asked("clean", "1..3"))).as_json() == {
        "units": 3, "unknown": 3, "rows": 0, "bytes": 0, "core_hours": 0, "seconds": 0,
    }  # fmt: skip
    corpus.run("clean", "1")
    found = estimate_plan(make_plan(corpus.asked("clean", "1..3", max_active=2)))
    # Each has three tables of three rows and 300 bytes, and took 2 seconds on 2 workers.
    assert (found.units, found.unknown, found.rows, found.bytes) == (2, 0, 18, 1800)
    assert (found.core_seconds, found.seconds) == (8, 2)


def test_json_has_a_decision_and_a_reason_for_each(corpus: FakeCorpus):
    corpus.chain("1")
    corpus.raw("2")
    found = plan_json(make_plan(corpus.asked("corpus", "1..2")))
    assert [(row["partition"], row["decision"], row["reason"]) for row in found["partitions"]] == [
        ("1", "done", "digest equal"),
        ("2", "missing", ""),
    ]
    assert [row["stage"] for row in found["partitions"][1]["stages"]] == ["clean", "dedup", "decontaminate", "tokenize"]
    assert found["counts"] == {"done": 1, "missing": 1}
    assert found["to_do"]["units"] == 4


@pytest.mark.parametrize(
    ("stage", "about", "wrong"),
    [
        ("mix", {}, "a backfill goes over partitions, and 'mix' is no stage that does"),
        ("dedup", {"seed_urls": ("http://a/",)}, "--seed-url is for crawl only, and the stage is dedup"),
        ("dedup", {"inputs": ("x",)}, "--input is for clean and corpus, not for dedup; leave it out"),
        ("clean", {"evaluations": ("x",)}, "--evaluation is for decontaminate and corpus, not for clean"),
        ("corpus", {"overrides": ("rules=[]",)}, "say whose setting it is, as in clean.rules="),
        ("corpus", {"overrides": ("clean.rulse=[]",)}, "unknown key; did you mean 'rules'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(corpus: FakeCorpus, stage: str, about: dict, wrong: str):
    with pytest.raises(ConfigError, match=wrong):
        Asked(corpus.root, Backfill(stage=stage, source="web", partitions="1", **about))


def test_the_ledger_knows_what_was_asked_for_last(corpus: FakeCorpus):
    ledger = Ledger(corpus.root)
    with pytest.raises(InputError, match=r"no backfill of clean over web 1\.\.3 is in the ledger.*begin it with"):
        ledger.find("clean", "web", "1..3")
    first = ledger.begin(corpus.asked("clean", "1..9", max_attempts=7).backfill)
    assert ledger.find("clean", "web", "1..9") == first
    assert ledger.find("clean", "web", "2..3") == first.model_copy(update={"partitions": "2..3"})
    second = ledger.begin(corpus.asked("clean", "1..9", overrides=("rules=[]",)).backfill)
    assert second.identity() != first.identity()
    assert ledger.find("clean", "web", "1..9").overrides == ("rules=[]",)
    ledger.ask_to_stop(second)
    assert ledger.asked_to_stop(second)
    assert not ledger.asked_to_stop(first)
    ledger.begin(second)
    assert not ledger.asked_to_stop(second)
