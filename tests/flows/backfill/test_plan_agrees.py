"""A plan says what `corpusmill run STAGE` would do, whatever has happened to a corpus."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path

import pytest
from fake_units import FakeCorpus
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.backfill.plan import Plan, make_plan
from flows.registry import stage_entry
from schemas.corpus_root import PartitionKey
from schemas.errors import UserError

NAMES = ("1", "2", "3", "10")
STAGES = ("clean", "dedup", "decontaminate", "tokenize")
# For each stage settings under which it may be run: those that matter and those that do not.
SETTINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "clean": ((), ("rules=[]",)),
    "dedup": ((), ("threshold=0.7",), ('levels=["exact"]',), ("scope=corpus",), ("memory_mib=100",)),
    "decontaminate": ((), ("action=drop",), ("ngram=9",)),
    "tokenize": ((), ("shard_tokens=1000",), ("tokenizer=other",)),
}
names = st.sampled_from(NAMES)
writes = st.tuples(st.just("write"), names, st.sampled_from(["a page", "another page", "yet another"]))
removals = st.tuples(st.just("remove"), names, st.just(""))
tokenizers = st.tuples(st.just("tokenizer"), st.sampled_from(["bpe", "other"]), st.sampled_from(["{}", "[]"]))
runs = st.one_of(
    [st.tuples(st.just("run"), st.just(stage), st.tuples(names, st.sampled_from(SETTINGS[stage]))) for stage in STAGES]
)
histories = st.lists(st.one_of(writes, runs, runs, runs, removals, tokenizers), min_size=4, max_size=24)


def live_through(corpus: FakeCorpus, history: list) -> None:
    """Let all of it happen; what cannot be done is left out."""
    for what, name, more in history:
        if what == "write":
            corpus.raw(name, more)
        elif what == "remove":
            (corpus.folder / "raw" / f"{name}.txt").unlink(missing_ok=True)
        elif what == "tokenizer":
            corpus.tokenizer(name, more)
        else:
            try:
                corpus.run(name, *more)
            except UserError:
                continue


def not_done(plan: Plan, stage: str) -> list[str]:
    return [key.partition for key, unit in plan.units[stage].items() if unit.decision != "done"]


@settings(max_examples=25)
@given(history=histories, chosen=st.tuples(*(st.sampled_from(SETTINGS[stage]) for stage in STAGES)))
def test_done_is_what_the_stage_calls_done(history: list, chosen: tuple):
    with tempfile.TemporaryDirectory() as folder:
        corpus = FakeCorpus(Path(folder))
        for name in NAMES[:3]:
            corpus.raw(name)
        live_through(corpus, history)
        for stage, overrides in zip(STAGES, chosen, strict=True):
            for name in NAMES:
                plan = make_plan(corpus.asked(stage, name, overrides=overrides))
                decided = plan.of(PartitionKey("web", name))
                assert (decided.decision == "done") == corpus.is_done(stage, name, overrides), (stage, name, decided)
                assert decided.runs == (decided.decision in ("missing", "stale"))
                if decided.runs:
                    assert corpus.run(stage, name, overrides).done > 0
                elif decided.decision == "blocked":
                    with pytest.raises(UserError):
                        corpus.run(stage, name, overrides)


@settings(max_examples=20)
@given(history=histories, chosen=st.tuples(*(st.sampled_from(SETTINGS[stage]) for stage in STAGES)))
def test_over_all_partitions_at_once_too(history: list, chosen: tuple):
    with tempfile.TemporaryDirectory() as folder:
        corpus = FakeCorpus(Path(folder))
        live_through(corpus, history)
        for stage, overrides in zip(STAGES[1:], chosen[1:], strict=True):
            try:
                stage_module = importlib.import_module(stage_entry(stage).module)
                pending = stage_module.pending(corpus.request(stage, None, overrides))
            except UserError:
                continue
            plan = make_plan(corpus.asked(stage, ",".join(NAMES), overrides=overrides))
            there = set(corpus.root.partitions("documents"))
            undone = [one for one in not_done(plan, stage) if PartitionKey("web", one) in there]
            assert bool(pending) == bool(undone), (stage, pending, plan.units[stage])


@settings(max_examples=20)
@given(history=histories)
def test_after_what_the_plan_of_the_chain_names_all_is_done(history: list):
    with tempfile.TemporaryDirectory() as folder:
        corpus = FakeCorpus(Path(folder))
        corpus.tokenizer()
        for name in NAMES:
            corpus.raw(name)
        live_through(corpus, [one for one in history if one[0] != "remove"])
        corpus.tokenizer()
        asked = corpus.asked("corpus", ",".join(NAMES))
        before = make_plan(asked)
        named = {unit.name for unit in before.to_do()}
        done = set()
        for stage in asked.stages:
            for name in NAMES:
                outcomes = corpus.run(stage, name).outcomes
                if any(one.status == "done" and one.key.partition == name for one in outcomes):
                    done.add((stage, PartitionKey("web", name)))
        # Nothing was done that the plan did not name; a unit may turn out to be the same after all.
        assert done <= named, before.counts()
        assert not list(make_plan(asked).to_do())
