from __future__ import annotations

import random

import pytest

from training.loop.guard import SpikeGuard

STEADY = [(2.0 + 0.1 * (number % 2), 1.0) for number in range(20)]


def fed(deviations: float | None, pairs: list[tuple[float, float]] = STEADY, steps: int = 16) -> SpikeGuard:
    guard = SpikeGuard(deviations, steps)
    assert not any(guard.judge(*pair) for pair in pairs)
    return guard


def test_a_loss_far_over_the_mean_is_a_spike_by_numbers_worked_out_by_hand() -> None:
    # Of 16 values 2.0 and 2.1 in turn the mean is 2.05 and the deviation 0.05: six of them reach 2.35.
    guard = fed(6.0)
    assert guard.judge(2.3501, 1.0) == (
        "a spike: loss 2.35 is over 2.35, 6 deviations (0.05) over the mean of 16 good steps (2.05)"
    )
    assert guard.judge(2.3499, 1.0) == ""


def test_a_gradient_norm_may_be_the_spike() -> None:
    assert fed(6.0).judge(2.0, 1.5).startswith("a spike: gradient norm 1.5 is over 1")


def test_bad_steps_do_not_count_for_later_ones() -> None:
    guard = fed(6.0)
    for _ in range(30):
        assert guard.judge(9.0, 1.0)
    assert guard.judge(2.0, 1.0) == ""


def test_a_spike_that_is_trained_on_counts_as_its_limit() -> None:
    guard = SpikeGuard(6.0, 16, STEADY[:16], trained=True)
    assert guard.judge(9.0, 1.0)
    assert guard.state()[-1] == [pytest.approx(2.35), 1.0]
    assert guard.judge(9.0, 1.0), "one spike does not hide the next"
    found = [bool(guard.judge(9.0, 1.0)) for _ in range(40)]
    assert not any(found[20:]), "what lasts is usual"


def test_a_run_as_it_should_be_has_no_spike() -> None:
    draw = random.Random(7)
    losses = [2 + 7 / (1 + step / 8) + draw.gauss(0, 0.08) for step in range(3000)]
    norms = [0.5 + 2 / (1 + step / 20) + draw.gauss(0, 0.05) for step in range(3000)]
    guard = SpikeGuard(6.0, 128, trained=True)
    assert not [number for number, pair in enumerate(zip(losses, norms, strict=True)) if guard.judge(*pair)]


def test_early_steps_are_never_spikes() -> None:
    fed(1.0, [(float(10**number), 1.0) for number in range(15)])


def test_without_a_threshold_nothing_is_a_spike_and_nothing_is_kept() -> None:
    guard = fed(None, [*STEADY, (1e9, 1e9)])
    assert guard.state() == []


@pytest.mark.parametrize("stop", [3, 18])
def test_a_guard_goes_on_from_its_state(stop: int) -> None:
    whole, first = SpikeGuard(3.0, 16), SpikeGuard(3.0, 16)
    losses = [(2.0 + 0.1 * (number % 3) + (number == 25), 1.0) for number in range(40)]
    expected = [whole.judge(*one) for one in losses]
    found = [first.judge(*one) for one in losses[:stop]]
    second = SpikeGuard(3.0, 16, first.state())
    assert found + [second.judge(*one) for one in losses[stop:]] == expected
    assert sum(map(bool, expected)) == 1
