"""The quality rules: what each measures, and the verdict on a document.

Their names, thresholds and presets stand in `schemas.configs.clean_presets`. Editing rules run first, in the order of
the rule list; the others measure what the editing rules left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller

import numpy as np

from pipelines.cleaning.gutenberg import strip_gutenberg
from pipelines.cleaning.measures import TextMeasures, share
from pipelines.cleaning.personal_data import replace_personal_data
from pipelines.quality.classifier import Classifier
from pipelines.quality.draw import pareto_draw
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import QUALITY_DRAW, RULES
from schemas.identity import content_hash

__all__ = ["EDITS", "MEASURES", "Verdict", "evaluate"]

_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_END_MARKS = (".", "?", "!", '"', "”")
_ELLIPSES = re.compile(r"\.\.\.|…")
# Markers of list items: bullet, hyphen.
_BULLETS = ("•", "-")
_SHORT_LINE_CHARACTERS = 30
# C4 drops lines with these words (Raffel et al. 2020, section 2.2, and its published code for the policy phrases).
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_LONGEST_WORD = 1000
_FEWEST_WORDS_OF_A_LINE = 3
_SENTENCE_END = re.compile(r"[.!?…。！？]+(?=[\s\"'”’)\]]|$)")


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a document.

    Attributes:
        text: after the editing rules.
        scores: measured value by rule.
        failed: rules whose threshold the document misses, in the order of the rule list; empty where it is kept.
        unevaluated: costly rules left out because another had failed.
    """

    text: str
    scores: dict[str, float]
    failed: tuple[str, ...]
    unevaluated: tuple[str, ...]


def _keeps_line(line: str, end_mark: bool) -> bool:
    lowered = line.lower()
    words = line.split()
    return (
        len(words) >= _FEWEST_WORDS_OF_A_LINE
        and max(map(len, words)) <= _LONGEST_WORD
        and "javascript" not in lowered
        and not any(phrase in lowered for phrase in _POLICY)
        and not (end_mark and (not line.endswith(_END_MARKS) or line.endswith("...")))
    )


def _c4_lines(text: str, end_mark: bool) -> tuple[str, int]:
    kept = [line for line in text.split("\n") if not line.strip() or _keeps_line(line.strip(), end_mark)]
    removed = text.count("\n") + 1 - len(kept)
    return re.sub("\n{3,}", "\n\n", "\n".join(kept)).strip(), removed


# Each gives the edited text and how many places it edited, which is its score.
EDITS: dict[str, Callable[[str], tuple[str, int]]] = {
    "gutenberg": strip_gutenberg,
    "c4-lines": lambda text: _c4_lines(text, end_mark=False),
    "c4-lines-with-end-mark": lambda text: _c4_lines(text, end_mark=True),
    "pii": replace_personal_data,
}


def _mean_word_length(m: TextMeasures) -> float:
    return float(m.word_lengths.mean()) if len(m.words) else 0.0


def _line_share(m: TextMeasures, holds: Callable[[str], bool]) -> float:
    return share(sum(map(holds, m.lines)), len(m.lines))


def _alphabetic_words(m: TextMeasures) -> float:
    return share(sum(any(map(str.isalpha, word)) for word in m.words), len(m.words))


MEASURES: dict[str, Callable[[TextMeasures], float]] = {
    "words-at-least": lambda m: len(m.words),
    "words-at-most": lambda m: len(m.words),
    "mean-word-length-at-least": _mean_word_length,
    "mean-word-length-at-most": _mean_word_length,
    "hashes-per-word": lambda m: share(m.text.count("#"), len(m.words)),
    "ellipses-per-word": lambda m: share(len(_ELLIPSES.findall(m.text)), len(m.words)),
    "bullet-lines": lambda m: _line_share(m, lambda line: line.startswith(_BULLETS)),
    "ellipsis-lines": lambda m: _line_share(m, lambda line: line.endswith(("...", "…"))),
    "alphabetic-words": _alphabetic_words,
    "stop-words": lambda m: len(_STOP_WORDS.intersection(m.words)),
    "duplicate-lines": lambda m: share(m.duplicates(m.lines)[0], len(m.lines)),
    "duplicate-paragraphs": lambda m: share(m.duplicates(m.paragraphs)[0], len(m.paragraphs)),
    "duplicate-line-characters": lambda m: share(m.duplicates(m.lines)[1], len(m.text)),
    "duplicate-paragraph-characters": lambda m: share(m.duplicates(m.paragraphs)[1], len(m.text)),
    **{f"top-{n}-gram-characters": methodcaller("top_ngram_characters", n) for n in (2, 3, 4)},
    **{f"duplicate-{n}-gram-characters": methodcaller("duplicate_ngram_characters", n) for n in range(5, 11)},
    "lorem-ipsum": lambda m: m.text.lower().count("lorem ipsum"),
    "curly-brackets": lambda m: m.text.count("{"),
    "sentences": lambda m: len(_SENTENCE_END.findall(m.text)),
    "end-mark-lines": lambda m: _line_share(m, lambda line: line.endswith(_END_MARKS)),
    "short-lines": lambda m: _line_share(m, lambda line: len(line) <= _SHORT_LINE_CHARACTERS),
    "repeated-line-characters": lambda m: share(m.duplicates(m.lines)[1], len(m.text)),
    "newlines-per-word": lambda m: share(m.text.count("\n"), len(m.words)),
}


def _passes(rule: str, value: float, threshold: float) -> bool:
    return value >= threshold if RULES[rule].side == "at_least" else value <= threshold


def evaluate(
    text: str,
    language: str | None,
    language_score: float | None,
    config: CleanConfig,
    classifier: Classifier | None = None,
) -> Verdict:
    """Apply the active rules of `config` to a document; `classifier` is the one that it names.

    Values are rounded to float32 before they are compared, as they are stored, so that filtering by the stored scores
    gives the same documents.
    """
    active = config.active_rules()
    scores: dict[str, float] = {}
    for rule in (rule for rule in active if rule in EDITS):
        text, places = EDITS[rule](text)
        scores[rule] = float(places)
    measures = TextMeasures(text)
    failed: set[str] = set()
    unevaluated = []
    filters = [rule for rule in active if rule not in EDITS]
    for rule in sorted(filters, key=lambda name: RULES[name].costly):
        if RULES[rule].costly and failed:
            unevaluated.append(rule)
            continue
        if rule == "language":
            wanted = config.kept_languages()
            # A language that the record states has no score of ours and counts as certain.
            sure = 1.0 if language_score is None else language_score
            value = sure if not wanted or language in wanted else 0.0
        elif rule == QUALITY_DRAW and classifier is not None:
            scores["quality"] = classifier.score(text)
            value = scores["quality"] + pareto_draw(content_hash(text), config.seed, config.pareto_alpha)
        else:
            value = MEASURES[rule](measures)
        scores[rule] = float(np.float32(value))
        if not _passes(rule, scores[rule], float(np.float32(config.threshold(rule)))):
            failed.add(rule)
    return Verdict(text, scores, tuple(rule for rule in filters if rule in failed), tuple(unevaluated))
