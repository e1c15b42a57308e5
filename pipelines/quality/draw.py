"""GPT-3's draw (Brown et al. 2020, appendix A): a document is kept when a Pareto draw exceeds 1 - score.

The published line is `np.random.pareto(9) > 1 - score`, and numpy's Pareto is the Lomax distribution, which begins at
0. (One that begins at 1, such as Python's, would keep every document.) Our draw comes from the content hash, so that a
text is judged alike in every partition, by every worker and in every run.
"""

from __future__ import annotations

import math

from schemas.identity import stable_fraction

__all__ = ["keep_rate", "lomax", "pareto_draw"]

_PURPOSE = "quality draw"


def lomax(fraction: float, alpha: float) -> float:
    """The value below which `fraction` (in [0, 1)) of the Lomax distribution lies: (1 - fraction)^(-1/alpha) - 1."""
    return math.expm1(-math.log1p(-fraction) / alpha)


def pareto_draw(content: bytes, seed: int, alpha: float) -> float:
    """The draw of a document, 0 or more, by its content hash (16 bytes)."""
    return lomax(stable_fraction(content, seed, _PURPOSE), alpha)


def keep_rate(score: float, alpha: float) -> float:
    """How likely a document of this score (0 to 1) is kept: (2 - score)^-alpha."""
    return math.pow(2.0 - score, -alpha)
