"""A run on this machine: order, failures, retries, two at once; the stages' own units, in place of child processes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fake_units import FakeCorpus

from flows.backfill import local_run
from flows.backfill.claims import Claims
from flows.backfill.ledger import Ledger
from flows.backfill.local_run import LocalRun, Report
from flows.backfill.plan import make_plan
from flows.backfill.requests import Asked
from flows.backfill.verbs import clear_failures, take_away
from schemas.corpus_root import PartitionKey
from schemas.errors import StageError, UserError

CHAIN = ["clean", "dedup", "decontaminate", "tokenize"]


class Children:
    """Stands in for child processes: each does its unit at once, or ends as it was told to, and is seen a look later.

    Attributes:
        begun: what was started, in order.
        most: how many were at work at once.
        ends: for a stage and partition, how the next ones end: an exit code and the class of the error.
    """

    def __init__(self, corpus: FakeCorpus) -> None:
        self.corpus = corpus
        self.begun: list[tuple[str, str]] = []
        self.active = self.most = 0
        self.ends: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self.on_start: Callable[[str, str], None] = lambda _stage, _partition: None

    def start(self, argv: list[str], stdout: Any, stderr: Any, env: Any) -> Any:
        words = dict(pairwise(argv))
        unit = (words["run"], words.get("--partition", ""))
        self.begun.append(unit)
        self.active += 1
        self.most = max(self.most, self.active)
        self.on_start(*unit)
        if self.ends[unit]:
            code, error = self.ends[unit].pop(0)
        else:
            code, error = self.work(*unit)
        if code > 0:
            said = {"error": error, "message": f"{unit[0]} does not like {unit[1]}", "exit_code": code}
            stdout.write((json.dumps(said) + "\n").encode())
            stderr.write(f"corpusmill: {said['message']}\n".encode())
        return Child(self, code)

    def work(self, stage: str, partition: str) -> tuple[int, str]:
        if stage == "tokenizer":
            self.corpus.tokenizer()
            return 0, ""
        try:
            self.corpus.run(stage, partition)
        except UserError as error:
            return 2, type(error).__name__
        return 0, ""


class Child:
    """A child that has ended when it is looked at for the second time."""

    def __init__(self, children: Children, code: int) -> None:
        self.children, self.returncode, self.looks = children, code, 0

    def poll(self) -> int | None:
        self.looks += 1
        if self.looks < 2:
            return None
        self.children.active -= self.looks == 2
        return self.returncode

    def wait(self, _seconds: float | None = None) -> int:
        return self.returncode


@pytest.fixture
def children(corpus: FakeCorpus, monkeypatch: pytest.MonkeyPatch) -> Children:
    made = Children(corpus)
    monkeypatch.setattr(local_run, "start_supervised", made.start)
    monkeypatch.setattr(local_run, "stop_group", lambda *_: None)
    monkeypatch.setattr(local_run, "kill_marked", lambda *_: None)
    monkeypatch.setattr(local_run, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(local_run, "_HELD_SECONDS", 0.02)
    monkeypatch.setattr(local_run, "_CANCEL_SECONDS", 0.0)
    return made


def run(asked: Asked) -> Report:
    return LocalRun(asked, lambda _: None).run()


def counts(asked: Asked) -> dict[str, int]:
    return make_plan(asked).counts()


def test_the_chain_goes_in_order_and_is_done_once(corpus: FakeCorpus, children: Children):
    for name in ("1", "2", "3"):
        corpus.raw(name)
    asked = corpus.asked("corpus", "1..3", max_active=2, retry_seconds=0)
    report = run(asked)
    assert report.plan.counts() == {"done": 3}
    assert sorted(children.begun) == sorted((stage, name) for stage in CHAIN for name in ("1", "2", "3"))
    assert report.done == dict.fromkeys(CHAIN, 3)
    assert children.most == 2
    for stage in ("dedup", "decontaminate"):
        assert [name for one, name in children.begun if one == stage] == ["1", "2", "3"]
    assert all(children.begun.index(("clean", n)) < children.begun.index(("dedup", "3")) for n in ("1", "2", "3"))
    assert not run(asked).done
    assert len(children.begun) == 12


def test_backwards_begins_with_the_last_one_where_order_does_not_matter(corpus: FakeCorpus, children: Children):
    for name in ("1", "2", "3"):
        corpus.raw(name)
    run(corpus.asked("corpus", "1..3", backwards=True))
    assert [name for stage, name in children.begun if stage == "clean"] == ["3", "2", "1"]
    assert [name for stage, name in children.begun if stage == "dedup"] == ["1", "2", "3"]


def test_without_a_tokenizer_one_is_made_when_all_partitions_are_through(corpus: FakeCorpus, children: Children):
    corpus.root.tokenizer_folder("bpe").remove_tree()
    for name in ("1", "2"):
        corpus.raw(name)
    asked = corpus.asked("corpus", "1..2", max_active=4)
    assert run(asked).plan.counts() == {"done": 2}
    made = children.begun.index(("tokenizer", ""))
    assert {stage for stage, _ in children.begun[:made]} == {"clean", "dedup", "decontaminate"}
    assert children.begun[made + 1 :] == [("tokenize", "1"), ("tokenize", "2")]


def test_one_that_fails_does_not_stop_others_and_is_set_aside(corpus: FakeCorpus, children: Children):
    for name in ("1", "2", "3"):
        corpus.raw(name)
    children.ends["clean", "2"] = [(1, "StageError")] * 3
    asked = corpus.asked("corpus", "1..3", retry_seconds=0)
    report = run(asked)
    assert report.plan.counts() == {"done": 2, "poisoned": 1}
    assert children.begun.count(("clean", "2")) == 3
    (message,) = report.messages
    assert message.startswith("clean of web/2 failed: clean does not like 2. It is set aside after 3 attempts; to try")
    assert message.endswith(f"corpusmill backfill retry corpus --root {corpus.root.url} --source web --partitions 1..3")
    before = len(children.begun)
    assert run(asked).plan.counts() == {"done": 2, "poisoned": 1}
    assert len(children.begun) == before
    assert clear_failures(asked) == [("clean", PartitionKey("web", "2"))]
    assert run(asked).plan.counts() == {"done": 3}
    assert not clear_failures(asked)


def test_a_retry_helps_where_it_can(corpus: FakeCorpus, children: Children):
    corpus.raw("1")
    children.ends["clean", "1"] = [(-9, ""), (1, "StageError")]
    asked = corpus.asked("clean", "1", retry_seconds=0)
    assert run(asked).plan.counts() == {"done": 1}
    assert children.begun == [("clean", "1")] * 3
    assert Ledger(corpus.root).failure("clean", PartitionKey("web", "1")) is None


@pytest.mark.parametrize(("code", "error"), [(2, "InputError"), (1, "LossBrakeError"), (1, "TooLittleTextError")])
def test_no_retry_where_it_cannot_help(corpus: FakeCorpus, children: Children, code: int, error: str):
    corpus.raw("1")
    children.ends["clean", "1"] = [(code, error)]
    asked = corpus.asked("clean", "1", retry_seconds=0)
    report = run(asked)
    assert children.begun == [("clean", "1")]
    assert report.plan.counts() == {"failed": 1}
    assert report.messages == [f"clean of web/1 failed: clean does not like 1. To go on: {asked.command('resume')}"]
    assert run(asked).plan.counts() == {"done": 1}


def test_who_works_on_a_unit_elsewhere_is_waited_for(corpus: FakeCorpus, children: Children):
    for name in ("1", "2"):
        corpus.raw(name)
    claim = Claims(corpus.root).take("clean", PartitionKey("web", "1"), "another")
    assert claim is not None

    def other_ends(_stage: str, partition: str) -> None:
        if partition == "2":
            corpus.run("clean", "1")
            claim.release()

    children.on_start = other_ends
    assert run(corpus.asked("clean", "1..2", max_active=2)).plan.counts() == {"done": 2}
    assert children.begun == [("clean", "2")]


def test_a_lease_that_somebody_holds_is_no_failure(corpus: FakeCorpus, children: Children):
    corpus.raw("1")
    children.ends["clean", "1"] = [(1, "LeaseError")] * 4
    assert run(corpus.asked("clean", "1")).plan.counts() == {"done": 1}
    assert children.begun == [("clean", "1")] * 5


def test_a_partition_that_comes_in_between_is_seen_before_the_end(corpus: FakeCorpus, children: Children):
    corpus.chain("2", "3")
    corpus.raw("1")
    asked = corpus.asked("corpus", "1..3")
    assert run(asked).plan.counts() == {"done": 3}
    assert counts(asked) == {"done": 3}


def test_what_changes_all_the_time_ends(corpus: FakeCorpus, children: Children):
    corpus.raw("1")
    children.on_start = lambda *_: corpus.raw("1", "x" * len(children.begun))
    changed = children.work

    def work(stage: str, partition: str) -> tuple[int, str]:
        ended = changed(stage, partition)
        corpus.raw("1", "y" * (1000 + len(children.begun)))
        return ended

    children.work = work  # type: ignore[method-assign]
    report = run(corpus.asked("clean", "1"))
    assert report.messages == ["clean of web/1 was done 3 times: what it reads changes"]
    assert len(children.begun) == 3


def test_cancel_ends_a_run_and_its_claims(corpus: FakeCorpus, children: Children):
    for name in ("1", "2"):
        corpus.raw(name)
    asked = corpus.asked("clean", "1..2")
    ledger = Ledger(corpus.root)
    asked = Asked(corpus.root, ledger.begin(asked.backfill))
    children.on_start = lambda *_: ledger.ask_to_stop(asked.backfill)
    with pytest.raises(StageError, match=r"the backfill was cancelled; to go on: corpusmill backfill resume clean"):
        run(asked)
    assert not Claims(corpus.root).held()
    children.on_start = lambda *_: None
    ledger.begin(asked.backfill)
    assert run(asked).plan.counts() == {"done": 2}


def test_taking_away_makes_all_missing(corpus: FakeCorpus, children: Children):
    corpus.chain("1", "2", "3")
    asked = corpus.asked("corpus", "1..2", reprocess="completed")
    assert take_away(asked) == 2 * (1 + 3 + 2 + 1)
    assert counts(asked) == {"missing": 2}
    assert run(asked).plan.counts() == {"done": 2}
    claim = Claims(corpus.root).take("clean", PartitionKey("web", "1"), "b")
    assert claim is not None
    with pytest.raises(StageError, match="clean of web/1 is being worked on, and --reprocess completed begins with"):
        take_away(asked)


def test_nothing_is_done_after_a_stage_that_failed(corpus: FakeCorpus, children: Children):
    for name in ("1", "2"):
        corpus.raw(name)
    children.ends["dedup", "1"] = [(1, "StageError")] * 3
    asked = corpus.asked("corpus", "1..2", retry_seconds=0)
    report = run(asked)
    assert report.plan.counts() == {"done": 1, "poisoned": 1}
    assert not [unit for unit in children.begun if unit[1] == "1" and unit[0] in ("decontaminate", "tokenize")]
    assert report.plan.units["tokenize"][PartitionKey("web", "1")].reason == "dedup of it failed"
    clear_failures(asked)
    assert run(asked).plan.counts() == {"done": 2}
