from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ManifestError
from schemas.interleave import interleave
from schemas.mixture import MixturePlan, Phase, ShardRef, SourceShare, SourceStream
from training.data.order import SampleOrder, rows_of_rank

LENGTH = 16


def a_plan(windows: dict[str, int], phases: list[dict[str, int]], seed: int = 1) -> MixturePlan:
    def stream(name: str, count: int) -> SourceStream:
        tokens = count * LENGTH + 5
        shard = ShardRef(path=f"{name}.arrow", tokens=tokens, checksum="")
        return SourceStream(source=name, tokens=tokens, utf8_bytes=0, documents=1, shards=(shard,))

    return MixturePlan(
        name="main",
        tokenizer="tiny",
        tokenizer_fingerprint="",
        vocabulary_size=10,
        end_of_text=0,
        sequence_length=LENGTH,
        seed=seed,
        train=tuple(stream(name, count) for name, count in windows.items()),
        validation=(),
        test=(),
        phases=tuple(
            Phase(
                samples=sum(shares.values()),
                planned=sum(shares.values()),
                shares=tuple(
                    SourceShare(source=s, weight=0, samples=n, windows=windows.get(s, 0)) for s, n in shares.items()
                ),
            )
            for shares in phases
        ),
    )


plans = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 120)), min_size=1, max_size=4).filter(
    lambda sources: sum(samples for _, samples in sources) > 0
)


def pairs(order: SampleOrder, start: int, stop: int) -> list[tuple[int, int]]:
    samples = order.locate(start, stop)
    return list(zip(samples.sources.tolist(), samples.windows.tolist(), strict=True))


@settings(max_examples=100)
@given(
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=6),
    seed=st.integers(0, 10),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_interleaving_any_range_equals_sorting_everything(
    counts: list[int], seed: int, cut: tuple[float, float]
) -> None:
    total, offsets = sum(counts), np.random.default_rng(seed).random(len(counts))
    everything = sorted(((k + offsets[s]) / n, s, k) for s, n in enumerate(counts) for k in range(n))
    start, stop = sorted(int(share * total) for share in cut)
    sources, entries = interleave(np.array(counts), offsets, start, stop)
    expected = [(s, k) for _, s, k in everything[start:stop]]
    assert list(zip(sources.tolist(), entries.tolist(), strict=True)) == expected


@settings(max_examples=60)
@given(sources=plans, phases=st.integers(1, 3), seed=st.integers(0, 2**63 - 1))
def test_counts_are_exact_and_no_window_repeats_inside_an_epoch(
    sources: list[tuple[int, int]], phases: int, seed: int
) -> None:
    windows = {f"s{i}": count for i, (count, _) in enumerate(sources)}
    shares = {f"s{i}": samples for i, (_, samples) in enumerate(sources)}
    order = SampleOrder(a_plan(windows, [shares] * phases), seed)
    found = pairs(order, 0, len(order))
    for number, (count, samples) in enumerate(sources):
        mine = [window for source, window in found if source == number]
        assert len(mine) == samples * phases
        for first in range(0, len(mine), count):
            epoch = mine[first : first + count]
            assert len(set(epoch)) == len(epoch)
            assert set(epoch) <= set(range(count))


@settings(max_examples=25)
@given(sources=plans, seed=st.integers(0, 5), step=st.integers(3, 17))
def test_any_sample_is_found_without_those_before_it(sources: list[tuple[int, int]], seed: int, step: int) -> None:
    windows = {f"s{i}": count for i, (count, _) in enumerate(sources)}
    shares = {f"s{i}": samples for i, (_, samples) in enumerate(sources)}
    order = SampleOrder(a_plan(windows, [shares, shares]), seed)
    whole = pairs(order, 0, len(order))
    in_steps = [p for a in range(0, len(order), step) for p in pairs(order, a, min(a + step, len(order)))]
    assert in_steps == whole


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("batch", [8, 13])
def test_ranks_together_read_the_same_order_for_any_world_size(world_size: int, batch: int) -> None:
    order = SampleOrder(a_plan({"a": 30, "b": 50}, [{"a": 60, "b": 44}]), 3)
    whole = pairs(order, 0, 104)
    together = []
    for start in range(0, 104, batch):
        for rank in range(world_size):
            low, high = rows_of_rank(batch, rank, world_size)
            together += pairs(order, start + low, start + high)
    assert together == whole


def test_every_stretch_holds_each_source_in_its_share() -> None:
    order = SampleOrder(a_plan({"a": 500, "b": 500, "c": 500}, [{"a": 600, "b": 300, "c": 100}]), 0)
    for start in range(0, 1000, 100):
        counts = Counter(source for source, _ in pairs(order, start, start + 100))
        assert abs(counts[0] - 60) <= 4
        assert abs(counts[1] - 30) <= 4
        assert abs(counts[2] - 10) <= 4


def test_epochs_and_seeds_order_the_windows_differently() -> None:
    plan = a_plan({"a": 200}, [{"a": 400}])
    first, second = pairs(SampleOrder(plan, 0), 0, 200), pairs(SampleOrder(plan, 0), 200, 400)
    other = pairs(SampleOrder(plan, 1), 0, 200)
    assert first != second
    assert first != other
    assert sorted(first) == sorted(second) == sorted(other)


def test_a_source_keeps_its_order_when_another_joins() -> None:
    alone = SampleOrder(a_plan({"a": 50}, [{"a": 50}]), 0)
    joined = SampleOrder(a_plan({"b": 70, "a": 50}, [{"b": 60, "a": 50}]), 0)
    assert [w for _, w in pairs(alone, 0, 50)] == [w for s, w in pairs(joined, 0, 110) if s == 1]


def test_a_far_sample_of_a_huge_plan_comes_at_once() -> None:
    order = SampleOrder(a_plan({"a": 10**9, "b": 10**8}, [{"a": 3 * 10**9, "b": 10**9}]), 0)
    found = pairs(order, 3_999_999_990, 4_000_000_000)
    assert len(set(found)) == 10


@pytest.mark.parametrize(
    ("windows", "shares", "message"),
    [
        ({"a": 5}, {"a": 3, "z": 2}, "2 samples from 'z', which has no window of its own"),
        ({"a": 5, "b": 0}, {"a": 3, "b": 2}, "2 samples from 'b', which has no window of its own"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(
    windows: dict[str, int], shares: dict[str, int], message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        SampleOrder(a_plan(windows, [shares]), 0)


def test_a_phase_whose_shares_do_not_add_up_is_refused() -> None:
    plan = a_plan({"a": 5}, [{"a": 3}])
    phase = plan.phases[0].model_copy(update={"samples": 4, "planned": 4})
    with pytest.raises(ManifestError, match="a phase of 4 samples has shares of 3 together"):
        SampleOrder(plan.model_copy(update={"phases": (phase,)}), 0)


@settings(max_examples=40)
@given(sources=plans, phases=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_finding_a_window_is_the_inverse_of_locating_a_sample(
    sources: list[tuple[int, int]], phases: int, seed: int
) -> None:
    windows = {f"s{n}": size for n, (size, _) in enumerate(sources)}
    shares = {f"s{n}": samples for n, (_, samples) in enumerate(sources)}
    order = SampleOrder(a_plan(windows, [shares] * phases), seed)
    at: dict[tuple[int, int], list[int]] = {}
    for sample, place in enumerate(pairs(order, 0, len(order))):
        at.setdefault(place, []).append(sample)
    for number, (size, _) in enumerate(sources):
        for window in range(size):
            assert order.find(number, window) == at.get((number, window), [])


def test_a_far_window_of_a_huge_plan_is_found_at_once() -> None:
    order = SampleOrder(a_plan({"a": 10**9, "b": 10**8}, [{"a": 3 * 10**9, "b": 10**9}]), 0)
    for sample in (0, 10**9 + 7, 4 * 10**9 - 1):
        ((source, window),) = pairs(order, sample, sample + 1)
        assert sample in order.find(source, window)
        assert len(order.find(source, window)) == (3 if source == 0 else 10)
