"""Logistic regression with a quadratic penalty, fitted with L-BFGS."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from threadpoolctl import threadpool_limits

from schemas.errors import StageError

__all__ = ["Fit", "fit_logistic"]

_MOST_STEPS = 2000
# Largest entry of the gradient at the end. Rows weigh 1 together, so entries are of the order of a feature's value.
_FLAT = 1e-7


class Fit(NamedTuple):
    """What was found; `loss` is the mean log loss of the two classes without the penalty, in nats."""

    weights: NDArray[np.float64]
    bias: float
    loss: float
    steps: int


def _balanced(labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A weight for each row so that both classes have one half together."""
    positives = int(labels.sum())
    return np.where(labels, 0.5 / positives, 0.5 / (len(labels) - positives))


def fit_logistic(features: csr_matrix, labels: NDArray[np.bool_], regularization: float) -> Fit:
    """Minimize the weighted mean log loss plus `regularization` / 2 times the squared weights; the bias is free.

    Both classes have the same weight, however many rows they have, so that a score of one half says that a text is as
    likely in one as in the other. Linear algebra runs on one thread: sums over threads depend on their number. The same
    rows in the same order give the same bits on one machine.

    Args:
        features: rows by buckets, float64.
        labels: True for trusted rows; both classes have to occur.
        regularization: above 0, so that there is one best solution.

    Raises:
        StageError: no minimum within 2,000 steps.
    """
    signs = np.where(labels, 1.0, -1.0)
    rows = _balanced(labels)
    turned = features.T.tocsr()

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (features @ weights + bias)
        slopes = -signs * rows * expit(-margins)
        penalty = 0.5 * regularization * float(np.sum(weights * weights))
        gradient = np.append(turned @ slopes + regularization * weights, slopes.sum())
        return float(np.sum(rows * np.logaddexp(0.0, -margins))) + penalty, gradient

    with threadpool_limits(1):
        found = minimize(
            objective,
            np.zeros(features.shape[1] + 1),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "gtol": _FLAT, "ftol": 0.0, "maxcor": 20},
        )
    if found.nit >= _MOST_STEPS:
        raise StageError(
            f"the classifier has no minimum after {_MOST_STEPS} steps at regularization {regularization:g}; raise it"
        )
    weights = found.x[:-1]
    loss = float(found.fun) - 0.5 * regularization * float(np.sum(weights * weights))
    return Fit(weights, float(found.x[-1]), loss, int(found.nit))
