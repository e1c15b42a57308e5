from __future__ import annotations

import math
import statistics

import pytest

from training.evaluation.answers import exact_match, normalize_answer, token_f1
from training.evaluation.statistics import estimate_mean


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Cat.", "cat"),
        ("an  answer,\tis a word", "answer is word"),
        ("theory", "theory"),
        ("(self, key=None, /)", "self keynone"),
        ("...", ""),
    ],
)
def test_answers_are_normalized_as_squad_does(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


def test_exact_match_and_f1_take_the_best_right_answer() -> None:
    assert exact_match("the Eiffel Tower!", ["eiffel tower", "Paris"]) == 1
    assert exact_match("tower", ["eiffel tower"]) == 0
    # Overlap 2 of 3 and 4 words: precision 2/3, recall 2/4, F1 = 4/7.
    assert token_f1("big red dog", ["small red dog barks"]) == pytest.approx(4 / 7)
    # Repeated words count as often as both have them.
    assert token_f1("go go go", ["go stop"]) == pytest.approx(2 * 1 / 5)
    assert token_f1("dog", ["cat", "dog"]) == 1
    assert token_f1("", ["cat"]) == 0
    assert token_f1("the", ["a"]) == 1


def test_without_groups_the_standard_error_is_s_over_root_n() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 0.25]
    found = estimate_mean(values)
    assert found.value == pytest.approx(statistics.mean(values))
    assert found.standard_error == pytest.approx(statistics.stdev(values) / math.sqrt(5))
    assert (found.n, found.groups) == (5, 5)


def test_values_that_move_together_count_once() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    copied = [value for value in values for _ in range(3)]
    groups = [index for index in range(5) for _ in range(3)]
    found = estimate_mean(copied, groups)
    assert found.standard_error == pytest.approx(estimate_mean(values).standard_error)
    assert found.n == 15
    assert found.groups == 5


def test_too_few_values_have_no_standard_error() -> None:
    assert estimate_mean([]).value is None
    assert estimate_mean([0.5]).standard_error is None
    assert estimate_mean([0.5, 1.0], ["same", "same"]).standard_error is None
