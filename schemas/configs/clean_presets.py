"""The quality rules by name, their thresholds, and the presets: named lists of rules with their published thresholds.

A rule keeps a document while its measured value is `at_least` or `at_most` the threshold. Rules that edit the text
have no threshold. What each rule measures is written where it is computed, in `pipelines.cleaning.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PRESETS", "QUALITY_DRAW", "RULES", "Preset", "RuleSpec"]


@dataclass(frozen=True)
class RuleSpec:
    """One rule: which side of the threshold is kept.

    Attributes:
        side: the kept side; `edits` for a rule that edits the text instead.
        threshold: default; a preset or the config may set another.
        costly: may be left unevaluated once another rule has failed.
    """

    side: Literal["at_least", "at_most", "edits"]
    threshold: float = 0.0
    costly: bool = False


# Stands at the end of a preset's rules where a classifier is given.
QUALITY_DRAW = "quality-draw"

RULES: dict[str, RuleSpec] = {
    "language": RuleSpec("at_least", 0.65),
    # Text-editing rules, in the order in which they run.
    "gutenberg": RuleSpec("edits"),
    "c4-lines": RuleSpec("edits"),
    "c4-lines-with-end-mark": RuleSpec("edits"),
    "pii": RuleSpec("edits"),
    # Gopher quality (Rae et al. 2021, "Scaling Language Models", appendix A.1).
    "words-at-least": RuleSpec("at_least", 50),
    "words-at-most": RuleSpec("at_most", 100_000),
    "mean-word-length-at-least": RuleSpec("at_least", 3),
    "mean-word-length-at-most": RuleSpec("at_most", 10),
    "hashes-per-word": RuleSpec("at_most", 0.1),
    "ellipses-per-word": RuleSpec("at_most", 0.1),
    "bullet-lines": RuleSpec("at_most", 0.9),
    "ellipsis-lines": RuleSpec("at_most", 0.3),
    "alphabetic-words": RuleSpec("at_least", 0.8),
    "stop-words": RuleSpec("at_least", 2),
    # Gopher repetition (the same, table A1).
    "duplicate-lines": RuleSpec("at_most", 0.30),
    "duplicate-paragraphs": RuleSpec("at_most", 0.30),
    "duplicate-line-characters": RuleSpec("at_most", 0.20),
    "duplicate-paragraph-characters": RuleSpec("at_most", 0.20),
    "top-2-gram-characters": RuleSpec("at_most", 0.20, costly=True),
    "top-3-gram-characters": RuleSpec("at_most", 0.18, costly=True),
    "top-4-gram-characters": RuleSpec("at_most", 0.16, costly=True),
    "duplicate-5-gram-characters": RuleSpec("at_most", 0.15, costly=True),
    "duplicate-6-gram-characters": RuleSpec("at_most", 0.14, costly=True),
    "duplicate-7-gram-characters": RuleSpec("at_most", 0.13, costly=True),
    "duplicate-8-gram-characters": RuleSpec("at_most", 0.12, costly=True),
    "duplicate-9-gram-characters": RuleSpec("at_most", 0.11, costly=True),
    "duplicate-10-gram-characters": RuleSpec("at_most", 0.10, costly=True),
    # C4 (Raffel et al. 2020, section 2.2).
    "lorem-ipsum": RuleSpec("at_most", 0),
    "curly-brackets": RuleSpec("at_most", 0),
    "sentences": RuleSpec("at_least", 5),
    # FineWeb (Penedo et al. 2024, section 3.6).
    "end-mark-lines": RuleSpec("at_least", 0.12),
    "short-lines": RuleSpec("at_most", 0.67),
    "repeated-line-characters": RuleSpec("at_most", 0.01),
    "newlines-per-word": RuleSpec("at_most", 0.3),
    # GPT-3 (Brown et al. 2020, appendix A): classifier score plus Pareto draw.
    QUALITY_DRAW: RuleSpec("at_least", 1),
}


@dataclass(frozen=True)
class Preset:
    """A named list of rules.

    Attributes:
        rules: names, in the order in which they are listed for a document that fails several.
        thresholds: where they differ from the rule's own.
        languages: languages kept by the rule `language`; empty for all.
    """

    rules: tuple[str, ...]
    thresholds: dict[str, float] = field(default_factory=dict)
    languages: tuple[str, ...] = ()


_QUALITY = (
    "words-at-least",
    "words-at-most",
    "mean-word-length-at-least",
    "mean-word-length-at-most",
    "hashes-per-word",
    "ellipses-per-word",
    "bullet-lines",
    "ellipsis-lines",
    "alphabetic-words",
    "stop-words",
)
_REPETITION = (
    "duplicate-lines",
    "duplicate-paragraphs",
    "duplicate-line-characters",
    "duplicate-paragraph-characters",
    *(f"top-{n}-gram-characters" for n in (2, 3, 4)),
    *(f"duplicate-{n}-gram-characters" for n in range(5, 11)),
)
_C4_PAGE = ("lorem-ipsum", "curly-brackets", "sentences")
_FINEWEB = ("end-mark-lines", "short-lines", "repeated-line-characters", "newlines-per-word")

PRESETS: dict[str, Preset] = {
    "fineweb": Preset(
        ("language", *_REPETITION, *_QUALITY, "c4-lines", *_C4_PAGE, *_FINEWEB, "pii"), languages=("en",)
    ),
    "gopher": Preset((*_QUALITY, *_REPETITION)),
    "gopher-repetition": Preset(_REPETITION),
    "c4": Preset(("language", "c4-lines-with-end-mark", *_C4_PAGE), {"language": 0.99}, languages=("en",)),
    # Whole books: long by nature, with refrains and tables of contents; what is around them goes first.
    "books": Preset(
        ("gutenberg", "words-at-least", "mean-word-length-at-most", "alphabetic-words", "duplicate-line-characters"),
        {"words-at-least": 500, "duplicate-line-characters": 0.5},
    ),
    # Reference documentation repeats itself by nature (signatures, inherited members) and has few full sentences:
    # what is left to refuse is pages with next to no text, pages of bare numbers or names, and one text over and over.
    "reference-docs": Preset(
        (
            "words-at-least",
            "words-at-most",
            "mean-word-length-at-most",
            "alphabetic-words",
            "stop-words",
            "duplicate-lines",
            "duplicate-line-characters",
        ),
        {
            "words-at-least": 60,
            "mean-word-length-at-most": 14,
            "alphabetic-words": 0.5,
            "stop-words": 1,
            "duplicate-lines": 0.75,
            "duplicate-line-characters": 0.75,
        },
    ),
}
