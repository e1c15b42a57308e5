"""The two shares by which deduplication is judged, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["AuditResult", "Share", "wilson"]

_Z = 1.959963984540054  # two-sided 95%


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95% score interval of a share (Wilson 1927, equation 3); from 0 to 1 where nothing was tried."""
    if not trials:
        return 0.0, 1.0
    share, square = hits / trials, _Z * _Z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == trials else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Share:
    """`hits` of `trials`."""

    hits: int
    trials: int

    def as_json(self) -> dict[str, Any]:
        """With the share and its interval; null where nothing was tried."""
        low, high = wilson(self.hits, self.trials)
        share = round(self.hits / self.trials, 6) if self.trials else None
        return {
            "hits": self.hits,
            "trials": self.trials,
            "share": share,
            "interval95": [round(low, 6), round(high, 6)] if self.trials else None,
        }

    def __str__(self) -> str:
        if not self.trials:
            return "none to judge by"
        low, high = wilson(self.hits, self.trials)
        return f"{self.hits:,} of {self.trials:,} = {self.hits / self.trials:.4f} (95%: {low:.4f} to {high:.4f})"


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        sampled: documents that were compared with all others.
        documents: documents that there are to compare with.
        pairs: of the pairs at or above the threshold that were found, those of which not both are kept.
        removals: of removals at levels exact and near that were looked at, those whose texts are that alike.
        misstated: removals among them whose stored similarity is not the one of the texts, to 1e-6.
        by_url: removals by URL among those drawn, which promise no similarity.
        missed: some pairs of which both are kept, as (document, document, similarity).
    """

    sampled: int
    documents: int
    pairs: Share
    removals: Share
    misstated: int
    by_url: int
    missed: tuple[tuple[str, str, float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "sampled": self.sampled,
            "documents": self.documents,
            "pairs_not_both_kept": self.pairs.as_json(),
            "removals_alike": self.removals.as_json(),
            "misstated": self.misstated,
            "by_url": self.by_url,
            "missed": [{"one": one, "other": other, "similarity": value} for one, other, value in self.missed],
        }
