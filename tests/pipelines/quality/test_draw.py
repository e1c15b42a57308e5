"""The draw against the distribution that it is of."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lomax as reference

from pipelines.quality.draw import keep_rate, lomax, pareto_draw
from schemas.identity import content_hash

DOCUMENTS = 40_000
# BLAKE2b-64 over the length-prefixed (hash, seed, purpose), its 53 highest bits u, then (1 - u)^(-1/9) - 1 in decimals.
GOLDEN = 0.010784922500356082617728


@pytest.fixture(scope="module")
def draws() -> list[float]:
    """Of documents whose hashes are fixed."""
    return [pareto_draw(content_hash(f"document {number}"), 0, 9.0) for number in range(DOCUMENTS)]


@pytest.mark.parametrize(("score", "published"), [(0.0, 0.002), (0.5, 0.026), (0.9, 0.42)])
def test_keep_rates_match_theory(draws: list[float], score: float, published: float) -> None:
    theory = (1 + (1 - score)) ** -9.0
    assert theory == pytest.approx(published, rel=0.03)
    assert keep_rate(score, 9.0) == pytest.approx(theory)
    kept = sum(draw > 1 - score for draw in draws)
    deviation = math.sqrt(DOCUMENTS * theory * (1 - theory))
    assert abs(kept - DOCUMENTS * theory) < 3 * deviation


def test_a_certain_document_is_kept_and_pareto_from_one_would_keep_all(draws: list[float]) -> None:
    assert sum(draw > 0 for draw in draws) == DOCUMENTS
    assert sum(draw + 1 > 1 - 0.0 for draw in draws) == DOCUMENTS  # what Python's paretovariate would do


@pytest.mark.parametrize("alpha", [0.5, 3.0, 9.0])
def test_edges_of_the_fraction(alpha: float) -> None:
    assert lomax(0.0, alpha) == 0.0
    last = 1 - 2.0**-53
    assert lomax(last, alpha) == pytest.approx(2.0 ** (53 / alpha) - 1, rel=1e-9)
    assert math.isfinite(lomax(last, alpha))


@given(st.floats(0, 1, exclude_max=True), st.floats(0.1, 50))
def test_inversion_agrees_with_scipy(fraction: float, alpha: float) -> None:
    assert lomax(fraction, alpha) == pytest.approx(float(reference.ppf(fraction, alpha)), rel=1e-6, abs=1e-12)


def test_a_draw_depends_on_the_content_and_the_seed_alone() -> None:
    one, other = content_hash("one"), content_hash("other")
    assert pareto_draw(one, 0, 9.0) == pareto_draw(one, 0, 9.0)
    assert len({pareto_draw(one, 0, 9.0), pareto_draw(one, 1, 9.0), pareto_draw(other, 0, 9.0)}) == 3
    assert pareto_draw(content_hash("a golden draw"), 7, 9.0) == pytest.approx(GOLDEN, abs=1e-12)
