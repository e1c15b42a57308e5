"""The quality rules by name, their thresholds, and the presets: named lists of rules with their published thresholds.

A rule measures the text as the rules before it in the list left it, and keeps a document while its value lies on the
kept side of the threshold. Rules that edit the text have no threshold. What each rule measures is written where it is
computed, in `pipelines.cleaning.rules`; where two published implementations of a rule differ, which side a preset
takes stands in docs/decisions/0007-sides-of-published-rules.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["PRESETS", "QUALITY_DRAW", "RULES", "Preset", "RuleSpec"]


@dataclass(frozen=True)
class RuleSpec:
    """One rule.

    Attributes:
        side: which values are kept, `above` and `below` without the threshold itself; `edits` for a rule that edits
            the text instead.
        threshold: default; a preset or the config may set another.
        costly: may be left unevaluated once another rule has failed.
        about: what it looks at; a page that a rule about its URL refuses is not extracted, and no other rule is
            evaluated.
        needs: list of the user's that it looks things up in, a field of `CleanLists`.
    """

    side: Literal["at_least", "at_most", "above", "below", "edits"]
    threshold: float = 0.0
    costly: bool = False
    about: Literal["text", "url", "language"] = "text"
    needs: str | None = None


# Stands at the end of a preset's rules where a classifier is given.
QUALITY_DRAW = "quality-draw"

RULES: dict[str, RuleSpec] = {
    # URL lists, as FineWeb uses them (Penedo et al. 2024, section 3.1).
    "blocked-domains": RuleSpec("at_most", 0, about="url", needs="domains"),
    "blocked-urls": RuleSpec("at_most", 0, about="url", needs="urls"),
    "banned-url-words": RuleSpec("at_most", 0, about="url", needs="banned_words"),
    "soft-url-words": RuleSpec("at_most", 1, about="url", needs="soft_words"),
    "banned-url-subwords": RuleSpec("at_most", 0, about="url", needs="banned_subwords"),
    "bad-words": RuleSpec("at_most", 0, needs="bad_words"),
    "language": RuleSpec("at_least", 0.65, about="language"),
    # Rules that edit the text.
    "gutenberg": RuleSpec("edits"),
    "c4-lines-as-coded": RuleSpec("edits"),
    "c4-lines-as-written": RuleSpec("edits"),
    "c4-lines-fineweb": RuleSpec("edits"),
    "pii": RuleSpec("edits"),
    # Gopher quality (Rae et al. 2021, "Scaling Language Models", appendix A.1).
    "words-at-least": RuleSpec("at_least", 50),
    "words-at-most": RuleSpec("at_most", 100_000),
    "mean-word-length-at-least": RuleSpec("at_least", 3),
    "mean-word-length-at-most": RuleSpec("at_most", 10),
    "hashes-per-word": RuleSpec("at_most", 0.1),
    "ellipses-per-word": RuleSpec("at_most", 0.1),
    "bullet-lines": RuleSpec("at_most", 0.9),
    "bullet-lines-dolma": RuleSpec("at_most", 0.9),
    "bullet-lines-redpajama": RuleSpec("at_most", 0.9),
    "ellipsis-lines": RuleSpec("at_most", 0.3),
    "ellipsis-lines-dolma": RuleSpec("at_most", 0.3),
    "alphabetic-words": RuleSpec("at_least", 0.8),
    "stop-words": RuleSpec("at_least", 2),
    # Gopher repetition (the same, table A1).
    "duplicate-lines": RuleSpec("at_most", 0.30),
    "duplicate-paragraphs": RuleSpec("at_most", 0.30),
    "duplicate-line-characters": RuleSpec("at_most", 0.20),
    "duplicate-paragraph-characters": RuleSpec("at_most", 0.20),
    "duplicate-lines-all-copies": RuleSpec("at_most", 0.30),
    "duplicate-line-characters-all-copies": RuleSpec("at_most", 0.20),
    **{
        f"top-{n}-gram-characters": RuleSpec("at_most", share, costly=True)
        for n, share in ((2, 0.20), (3, 0.18), (4, 0.16))
    },
    **{
        f"duplicate-{n}-gram-characters{side}": RuleSpec("at_most", share, costly=True)
        for side in ("", "-all-copies")
        for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    },
    # C4 (Raffel et al. 2020, section 2.2).
    "characters-at-most": RuleSpec("at_most", 190_000),
    "lorem-ipsum": RuleSpec("at_most", 0),
    "lorem-ipsum-as-coded": RuleSpec("at_most", 0),
    "lorem-ipsum-fineweb": RuleSpec("at_most", 0),
    "curly-brackets": RuleSpec("at_most", 0),
    "curly-brackets-as-coded": RuleSpec("at_most", 0),
    "curly-brackets-fineweb": RuleSpec("at_most", 0),
    "sentences": RuleSpec("at_least", 5),
    # FineWeb (Penedo et al. 2024, section 3.6).
    "end-mark-lines": RuleSpec("above", 0.12),
    "end-mark-lines-any-script": RuleSpec("above", 0.12),
    "short-lines": RuleSpec("below", 0.67),
    "repeated-line-characters": RuleSpec("below", 0.01),
    "newlines-per-word": RuleSpec("at_most", 0.3),
    # GPT-3 (Brown et al. 2020, appendix A): classifier score plus Pareto draw.
    QUALITY_DRAW: RuleSpec("at_least", 1),
}


@dataclass(frozen=True)
class Preset:
    """A named list of rules.

    Attributes:
        rules: names, in the order in which they are applied and in which a document that fails several lists them.
            Those that need a list of the user's are left out where there is none.
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
_DUPLICATE_GRAMS = tuple(f"duplicate-{n}-gram-characters" for n in range(5, 11))
_TOP_GRAMS = tuple(f"top-{n}-gram-characters" for n in (2, 3, 4))
_REPETITION = (
    "duplicate-lines",
    "duplicate-paragraphs",
    "duplicate-line-characters",
    "duplicate-paragraph-characters",
    *_TOP_GRAMS,
    *_DUPLICATE_GRAMS,
)
_ALL_COPIES = (
    "duplicate-lines-all-copies",
    "duplicate-line-characters-all-copies",
    *_TOP_GRAMS,
    *(f"{rule}-all-copies" for rule in _DUPLICATE_GRAMS),
)
_FINEWEB = ("end-mark-lines", "short-lines", "repeated-line-characters", "newlines-per-word")

PRESETS: dict[str, Preset] = {
    # The order of FineWeb's own pipeline; it replaces e-mail and IP addresses only, `pii` the other kinds too unless
    # `pii_kinds` says less.
    "fineweb": Preset(
        (
            "language",
            *_REPETITION,
            *_QUALITY,
            "lorem-ipsum-fineweb",
            "curly-brackets-fineweb",
            "c4-lines-fineweb",
            "sentences",
            *_FINEWEB,
            "pii",
        ),
        languages=("en",),
    ),
    "gopher": Preset((*_QUALITY, *_REPETITION)),
    "gopher-repetition": Preset(_REPETITION),
    "gopher-all-copies": Preset((*_QUALITY, *_ALL_COPIES)),
    "c4-as-coded": Preset(
        (
            "language",
            "characters-at-most",
            "lorem-ipsum-as-coded",
            "curly-brackets-as-coded",
            "c4-lines-as-coded",
            "bad-words",
            "sentences",
        ),
        {"language": 0.99, "sentences": 3},
        languages=("en",),
    ),
    "c4-as-written": Preset(
        ("language", "bad-words", "lorem-ipsum", "curly-brackets", "c4-lines-as-written", "sentences"),
        {"language": 0.99},
        languages=("en",),
    ),
    # Brown et al. 2020, appendix A, filter Common Crawl by a classifier and by fuzzy deduplication, and state no rule
    # of this kind, not even one about the language. With a classifier, its draw is the one rule.
    "gpt3": Preset(()),
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
