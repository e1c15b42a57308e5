from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.configs.train import TrainConfig
from training.loop.schedule import BatchSchedule, learning_rate

WARMUP, END = 1000, 11_000


def config(**settings: object) -> TrainConfig:
    return TrainConfig.model_validate({"learning_rate": 2.0, "warmup_tokens": WARMUP, **settings})


@pytest.mark.parametrize(
    ("schedule", "tokens", "expected"),
    [
        ("cosine", 0, 0.0),
        ("cosine", 1, 0.002),
        ("cosine", WARMUP - 1, 1.998),
        ("cosine", WARMUP, 2.0),
        ("cosine", 3500, 2.0 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)),
        ("cosine", (WARMUP + END) // 2, 1.1),
        ("cosine", END, 0.2),
        ("linear", (WARMUP + END) // 2, 1.1),
        ("linear", 3500, 1.55),
        ("linear", END, 0.2),
        *((kind, 0, 0.0) for kind in ("linear", "wsd", "constant")),
        *((kind, 1, 0.002) for kind in ("linear", "wsd", "constant")),
        *((kind, WARMUP - 1, 1.998) for kind in ("linear", "wsd", "constant")),
        *((kind, WARMUP, 2.0) for kind in ("linear", "wsd", "constant")),
        ("wsd", (WARMUP + END) // 2, 2.0),
        ("wsd", 9900, 2.0),  # 0.9 of all tokens
        ("wsd", 10_450, 1.1),
        ("wsd", END, 0.2),
        ("constant", (WARMUP + END) // 2, 2.0),
        ("constant", END, 2.0),
    ],
)
def test_learning_rates(schedule: str, tokens: int, expected: float) -> None:
    assert learning_rate(config(schedule=schedule), tokens, END) == pytest.approx(expected, abs=1e-12)


def test_after_the_decay_the_rate_stays_at_its_final_share() -> None:
    short = config(decay_tokens=5000)
    assert learning_rate(short, 3000, END) == pytest.approx(1.1)
    assert learning_rate(short, 5000, END) == learning_rate(short, END, END) == pytest.approx(0.2)


def test_no_warm_up_begins_at_the_full_rate() -> None:
    assert learning_rate(config(warmup_tokens=0, schedule="constant"), 1, END) == 2.0


def test_without_a_ramp_steps_are_equal() -> None:
    schedule = BatchSchedule(config(batch=8), 32)
    assert [schedule.sample_range(step) for step in (0, 1, 7)] == [(0, 8), (8, 16), (56, 64)]
    assert [schedule.whole_steps(samples) for samples in (0, 7, 8, 65)] == [0, 0, 1, 8]


def test_a_ramp_grows_from_its_start_to_the_batch_in_multiples_of_its_start() -> None:
    schedule = BatchSchedule(config(batch=16, ramp_start=4, ramp_tokens=3200), 32)
    sizes = [stop - start for start, stop in map(schedule.sample_range, range(18))]
    assert sizes == [4] * 9 + [8] * 4 + [12] * 3 + [16] * 2


@given(
    batch=st.integers(1, 64),
    start=st.integers(1, 64),
    ramp=st.integers(0, 5000),
    samples=st.integers(0, 3000),
)
def test_steps_cover_all_samples_once_and_in_order(batch: int, start: int, ramp: int, samples: int) -> None:
    schedule = BatchSchedule(config(batch=max(batch, start), ramp_start=start, ramp_tokens=ramp), 8)
    steps = schedule.whole_steps(samples)
    ranges = [schedule.sample_range(step) for step in range(steps + 1)]
    assert ranges[0][0] == 0
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in pairwise(ranges))
    assert all(a[1] - a[0] <= b[1] - b[0] for a, b in pairwise(ranges))
    assert ranges[-1][0] <= samples < ranges[-1][1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay_tokens": 1000}, "decay_tokens 1000 is not over warmup_tokens 1000"),
        ({"micro_batch": 300}, "micro_batch 300 is over batch 256"),
        ({"batch": 4, "ramp_tokens": 10}, "ramp_start 16 is over batch 4"),
        ({"preset": "gpt4"}, "no preset 'gpt4'; known presets: gpt3-125m"),
        ({"preset": []}, r"no preset \[\]; known presets: gpt3-125m"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**settings)


def test_a_preset_fills_in_what_is_not_given() -> None:
    found = TrainConfig.model_validate({"preset": "gpt3-13b", "batch": 8, "ramp_tokens": 0, "model": {"layers": 2}})
    assert (found.model.width, found.model.layers, found.batch, found.learning_rate) == (5120, 2, 8, 1e-4)


def test_gpt3_presets_follow_the_published_batch_and_warm_up() -> None:
    published = {"gpt3-125m": 0.5e6, "gpt3-1.3b": 1e6, "gpt3-6.7b": 2e6, "gpt3-175b": 3.2e6}
    for name, tokens in published.items():
        found = TrainConfig.model_validate({"preset": name})
        assert found.batch * found.model.context == pytest.approx(tokens, rel=0.05)
        assert found.warmup_tokens == 375_000_000
        assert found.ramp_start * found.model.context == 32_768
        assert 4e9 <= found.ramp_tokens <= 12e9
