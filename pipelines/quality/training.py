"""From passages of trusted and raw sources to a classifier and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pipelines.quality.classifier import Classifier
from pipelines.quality.draw import keep_rate
from pipelines.quality.features import hashed_words, weigh
from pipelines.quality.passages import Passage, is_held_out
from pipelines.quality.ranking import area_under_curve, calibration
from pipelines.quality.regression import fit_logistic
from schemas.configs.quality import QualityConfig
from schemas.errors import TooLittleTextError

__all__ = ["Training", "train"]

# The shape of the draw that GPT-3 kept documents by; what the described keep rates are for.
_ALPHA = 9.0


@dataclass(frozen=True)
class Training:
    """The classifier, counts and notes for its manifest."""

    classifier: Classifier
    counts: dict[str, int]
    notes: dict[str, Any]


@dataclass(frozen=True)
class _Labelled:
    """Passages of one part, in the order of their content, with the source of each."""

    passages: list[Passage]
    sources: list[str]
    labels: NDArray[np.bool_]

    def counts(self, part: str) -> dict[str, int]:
        positives = int(self.labels.sum())
        return {f"{part}_positives": positives, f"{part}_negatives": len(self.labels) - positives}


def _parts(samples: Mapping[str, Sequence[Passage]], config: QualityConfig) -> tuple[_Labelled, _Labelled]:
    """Passages to learn from and passages to measure on.

    A text that lies in several sources counts once: in the first trusted one by name, else in the first raw one.
    """
    owner: dict[bytes, str] = {}
    for source in [*sorted(config.positives), *sorted(config.negatives)]:
        for document in {passage.document for passage in samples[source]}:
            owner.setdefault(document, source)
    rows = sorted(
        (passage.document, passage.number, source, passage)
        for source, passages in samples.items()
        for passage in passages
        if owner[passage.document] == source
    )
    halves: tuple[list[Any], list[Any]] = ([], [])
    for document, _, source, passage in rows:
        halves[is_held_out(document, config.seed, config.held_out)].append((passage, source))
    trusted = set(config.positives)
    learn, measure = (
        _Labelled(
            [passage for passage, _ in half],
            [source for _, source in half],
            np.array([source in trusted for _, source in half], dtype=bool),
        )
        for half in halves
    )
    return learn, measure


def _require_both(part: _Labelled, name: str) -> None:
    for label, kind, field in ((True, "trusted", "positives"), (False, "raw", "negatives")):
        if not (part.labels == label).any():
            raise TooLittleTextError(
                f"no {kind} passage is {name}: the documents of {field} are too few; give sources with more documents, "
                "or another held_out or seed"
            )


def _matrix(passages: Sequence[Passage], config: QualityConfig) -> csr_matrix:
    hashed = [hashed_words(passage.text, config.bits, config.seed) for passage in passages]
    values = [weigh(one.counts, config.weighting) for one in hashed]
    starts = np.cumsum([0, *(len(one.buckets) for one in hashed)])
    buckets = np.concatenate([one.buckets for one in hashed])
    return csr_matrix((np.concatenate(values), buckets, starts), shape=(len(hashed), 2**config.bits))


def _by_source(part: _Labelled, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    names = np.array(part.sources)
    rows = []
    for source in sorted(set(part.sources)):
        mine = scores[names == source]
        rows.append(
            {
                "source": source,
                "trusted": bool(part.labels[names == source][0]),
                "documents": len({p.document for p, s in zip(part.passages, part.sources, strict=True) if s == source}),
                "passages": len(mine),
                "mean_score": round(float(mine.mean()), 6),
                "keep_rate": round(float(np.mean([keep_rate(score, _ALPHA) for score in mine])), 6),
            }
        )
    return rows


def train(samples: Mapping[str, Sequence[Passage]], config: QualityConfig) -> Training:
    """Fit a classifier on most documents and measure it on the others.

    Args:
        samples: passages by source, for every source that the settings name.
        config: the settings.

    Raises:
        TooLittleTextError: a class has no passage to learn from, or none to measure on.
        StageError: the fit has no end.
    """
    learn, measure = _parts(samples, config)
    _require_both(learn, "left to learn from")
    _require_both(measure, "held out")
    fit = fit_logistic(_matrix(learn.passages, config), learn.labels, config.regularization)
    weights = fit.weights.astype(np.float32)
    classifier = Classifier(weights, fit.bias, config.bits, config.seed, config.weighting)
    # Measured with the very function that documents are scored with, on the weights as they are stored.
    scores = np.array([classifier.score(passage.text) for passage in measure.passages])
    return Training(
        classifier,
        counts={**learn.counts("learned"), **measure.counts("held_out"), "steps": fit.steps},
        notes={
            "fingerprint": classifier.fingerprint,
            "held_out_auc": round(area_under_curve(scores, measure.labels), 6),
            "learned_loss": round(fit.loss, 6),
            "calibration": calibration(scores, measure.labels),
            "held_out_by_source": _by_source(measure, scores),
        },
    )
