"""The fit against what calculus says of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from pipelines.quality import regression
from pipelines.quality.regression import fit_logistic
from schemas.errors import StageError


def data(rows: int = 300, columns: int = 20_000) -> tuple[csr_matrix, np.ndarray]:
    random = np.random.default_rng(5)
    dense = random.random((rows, 40))
    labels = dense[:, 0] + 0.3 * random.standard_normal(rows) > 0.6
    places = random.choice(columns, 40, replace=False)
    starts = np.arange(0, 40 * rows + 1, 40)
    return csr_matrix((dense.ravel(), np.tile(places, rows), starts), shape=(rows, columns)), labels


def test_one_feature_has_the_weight_that_solves_its_equation() -> None:
    # Classes +1 and -1 at x = +1 and -1: by symmetry the bias is 0, and w solves 1 / (1 + e^w) = regularization * w.
    weight = brentq(lambda w: 1 / (1 + np.exp(w)) - 0.01 * w, 0, 10)
    fit = fit_logistic(csr_matrix([[1.0], [-1.0]]), np.array([True, False]), 0.01)
    assert fit.weights[0] == pytest.approx(weight, abs=1e-5)
    assert fit.bias == pytest.approx(0, abs=1e-6)
    assert fit.loss == pytest.approx(np.log1p(np.exp(-weight)), abs=1e-5)


def test_classes_count_alike_however_many_rows_they_have() -> None:
    one = fit_logistic(csr_matrix([[1.0], [-1.0]]), np.array([True, False]), 0.01)
    many = fit_logistic(csr_matrix([[1.0]] * 9 + [[-1.0]]), np.array([True] * 9 + [False]), 0.01)
    assert many.weights[0] == pytest.approx(one.weights[0], abs=1e-5)
    assert many.bias == pytest.approx(0, abs=1e-5)


def test_no_step_from_the_end_makes_it_better() -> None:
    features, labels = data()

    def loss(weights: np.ndarray, bias: float) -> float:
        margins = np.where(labels, 1, -1) * (features @ weights + bias)
        rows = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
        return float((rows * np.log1p(np.exp(-margins))).sum() + 5e-5 * (weights**2).sum())

    fit = fit_logistic(features, labels, 1e-4)
    best = loss(fit.weights, fit.bias)
    random = np.random.default_rng(7)
    for size in (1e-2, 1.0):
        for _ in range(20):
            step = size * random.standard_normal(features.shape[1])
            assert loss(fit.weights + step, fit.bias + size * random.standard_normal()) > best
    assert fit.loss == pytest.approx(best - 5e-5 * float((fit.weights**2).sum()))


def test_threads_change_no_bit() -> None:
    features, labels = data()
    found = set()
    for threads in (1, 2):
        with threadpool_limits(threads):
            fit = fit_logistic(features, labels, 1e-4)
        found.add((fit.weights.tobytes(), fit.bias, fit.steps))
    assert len(found) == 1


def test_a_fit_without_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "_MOST_STEPS", 2)
    with pytest.raises(StageError, match=r"has no minimum after 2 steps at regularization 0\.0001; raise it"):
        fit_logistic(*data(), 1e-4)
