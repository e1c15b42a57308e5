"""A plan that changes midway: what was seen stays seen, what is left and what came are each seen once in the epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ManifestError
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream
from schemas.phases import places_after
from training.data.order import SampleOrder

LENGTH = 4


def stream(name: str, windows: int) -> SourceStream:
    tokens = windows * LENGTH + 1 if windows else 0
    shards = (ShardRef(path=f"{name}.arrow", tokens=tokens, checksum=""),) if tokens else ()
    return SourceStream(source=name, tokens=tokens, utf8_bytes=0, documents=1, shards=shards)


def phase(windows: dict[str, int], samples: dict[str, int], taken: int) -> Phase:
    shares = tuple(
        SourceShare(source=name, weight=0, samples=samples.get(name, 0), windows=windows[name]) for name in windows
    )
    return Phase(samples=taken, planned=sum(samples.values()), shares=shares)


def plan_of(phases: list[Phase]) -> MixturePlan:
    last = {share.source: share.windows for share in phases[-1].shares}
    return MixturePlan(
        name="main",
        tokenizer="t",
        tokenizer_fingerprint="",
        vocabulary_size=10,
        end_of_text=0,
        sequence_length=LENGTH,
        seed=3,
        train=tuple(stream(name, windows) for name, windows in last.items()),
        validation=(),
        test=(),
        phases=tuple(phases),
    )


@st.composite
def phase_lists(draw: Any) -> list[Phase]:
    """Two to four phases over up to three sources that grow, and join, from phase to phase."""
    windows = {name: draw(st.integers(1, 12)) for name in draw(st.sampled_from([("a",), ("a", "b")]))}
    phases = []
    for number in range(draw(st.integers(2, 4))):
        if number:
            windows = {name: size + draw(st.sampled_from([0, 0, 1, 7])) for name, size in windows.items()}
            if draw(st.booleans()) and "c" not in windows:
                windows["c"] = draw(st.integers(1, 9))
        samples = {name: draw(st.integers(0, 30)) for name in windows}
        samples["a"] += 1
        phases.append(phase(dict(windows), samples, draw(st.integers(1, sum(samples.values())))))
    return phases


@settings(max_examples=80)
@given(phases=phase_lists(), seed=st.integers(0, 5))
def test_no_window_comes_twice_inside_an_epoch_and_none_is_left_out(phases: list[Phase], seed: int) -> None:
    # The rule, told once more: what is not yet seen of the epoch, and what came since, is all that may come.
    plan = plan_of(phases)
    found = SampleOrder(plan, seed).locate(0, plan.samples)
    left: dict[int, set[int]] = {}
    known: dict[int, int] = {}
    at = 0
    for one in plan.phases:
        for number, share in enumerate(one.shares):
            left.setdefault(number, set()).update(range(known.get(number, 0), share.windows))
            known[number] = share.windows
        for source, window in zip(
            found.sources[at : at + one.samples].tolist(), found.windows[at : at + one.samples].tolist(), strict=True
        ):
            if not left[source]:
                left[source] = set(range(known[source]))
            assert window in left[source]
            left[source].remove(window)
        at += one.samples
    places = places_after(plan, plan.samples)
    assert {name: place.left for name, place in places.items()} == {
        stream.source: len(left[number]) for number, stream in enumerate(plan.train)
    }


@settings(max_examples=80)
@given(phases=phase_lists(), seed=st.integers(0, 9))
def test_the_samples_of_a_window_are_found_in_every_phase(phases: list[Phase], seed: int) -> None:
    plan = plan_of(phases)
    order = SampleOrder(plan, seed)
    found = order.locate(0, len(order))
    at: dict[tuple[int, int], list[int]] = {}
    for sample, place in enumerate(zip(found.sources.tolist(), found.windows.tolist(), strict=True)):
        at.setdefault(place, []).append(sample)
    for number, share in enumerate(phases[-1].shares):
        for window in range(share.windows):
            assert order.find(number, window) == at.get((number, window), [])


@settings(max_examples=40)
@given(phases=phase_lists(), seed=st.integers(0, 5), step=st.integers(1, 13))
def test_any_stretch_of_a_plan_of_phases_is_found_alone(phases: list[Phase], seed: int, step: int) -> None:
    order = SampleOrder(plan_of(phases), seed)
    whole = order.locate(0, len(order))
    parts = [order.locate(at, min(at + step, len(order))) for at in range(0, len(order), step)]
    assert np.array_equal(np.concatenate([part.windows for part in parts]), whole.windows)
    assert np.array_equal(np.concatenate([part.sources for part in parts]), whole.sources)


@settings(max_examples=40)
@given(phases=phase_lists(), seed=st.integers(0, 5), keep=st.floats(0, 1))
def test_a_plan_that_goes_on_from_another_begins_with_its_samples(phases: list[Phase], seed: int, keep: float) -> None:
    old = plan_of(phases[:1])
    taken = max(1, int(old.samples * keep))
    new = plan_of([phases[0].model_copy(update={"samples": taken}), *phases[1:]])
    before, after = SampleOrder(old, seed).locate(0, taken), SampleOrder(new, seed).locate(0, taken)
    assert np.array_equal(before.windows, after.windows)
    assert np.array_equal(before.sources, after.sources)


@settings(max_examples=40)
@given(phases=phase_lists())
def test_every_source_is_near_its_share_at_every_sample_and_exact_at_the_end(phases: list[Phase]) -> None:
    plan = plan_of([one.model_copy(update={"samples": one.planned}) for one in phases])
    sources = SampleOrder(plan, 0).locate(0, plan.samples).sources
    at = 0
    for one in plan.phases:
        mine = sources[at : at + one.samples]
        for number, share in enumerate(one.shares):
            seen = np.cumsum(mine == number)
            assert seen[-1] == share.samples
            due = np.arange(1, len(mine) + 1) * share.samples / one.samples
            assert np.abs(seen - due).max() <= len(one.shares) + 1
        at += one.samples


def test_old_and_new_windows_come_in_proportion_to_what_remains() -> None:
    # 100 windows, 40 of them seen; then 180 more: 60 old and 180 new ones remain, one to three.
    plan = plan_of([phase({"a": 100}, {"a": 100}, 40), phase({"a": 280}, {"a": 240}, 240)])
    windows = SampleOrder(plan, 0).locate(40, 280).windows
    assert len(set(windows.tolist())) == 240
    old = np.cumsum(windows < 100)
    assert old[-1] == 60
    assert np.abs(old - np.arange(1, 241) / 4).max() <= 1
    assert places_after(plan, 280)["a"].left == 0


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (
            [phase({"a": 9}, {"a": 3}, 3), phase({"a": 5}, {"a": 3}, 3)],
            "a phase takes 9 windows of 'a', which had 0 before and has 5 in all",
        ),
        ([phase({"a": 5}, {"a": 3}, 3), phase({"a": 5}, {"a": 3}, 4)], "a phase of 3 samples has shares of 3 together"),
    ],
)
def test_phases_that_contradict_each_other_are_refused(phases: list[Phase], message: str) -> None:
    for use in (lambda plan: SampleOrder(plan, 0), lambda plan: places_after(plan, plan.samples)):
        with pytest.raises(ManifestError, match=message):
            use(plan_of(phases))
