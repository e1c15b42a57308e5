"""The quality rules: what each measures, and the verdict on a document.

Their names, thresholds and presets stand in `schemas.configs.clean_presets`. A rule measures the text as the editing
rules before it in the list left it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import methodcaller

from pipelines.cleaning.c4_lines import C4_FORMS
from pipelines.cleaning.gutenberg import strip_gutenberg
from pipelines.cleaning.lists.listed import NO_LISTS, Listed
from pipelines.cleaning.measures import TextMeasures, share
from pipelines.cleaning.privacy.personal_data import replace_personal_data
from pipelines.cleaning.verdict import judge, language_value
from pipelines.quality.classifier import Classifier
from pipelines.quality.draw import pareto_draw
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import QUALITY_DRAW, RULES
from schemas.identity import content_hash

__all__ = ["EDITS", "MEASURES", "Edited", "Verdict", "evaluate"]

_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
_LONGEST_STOP_WORD = max(map(len, _STOP_WORDS))
# FineWeb's marks, and the ends of sentences and quotations of other scripts beside them.
_END_MARKS = (".", "?", "!", '"', "'")
_END_MARKS_ANY_SCRIPT = (*_END_MARKS, *"”’»›」』】）…。！？．｡।॥؟۔։።᠃᙮꓿")
# What opens an item of a list, for datatrove, dolma and RedPajama.
_BULLETS = ("•", "-")
_BULLETS_DOLMA = ("*", "-")
_BULLETS_REDPAJAMA = tuple("•‣▶◀◦■□▪▫–")
_SHORT_LINE_CHARACTERS = 30


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a document.

    Attributes:
        text: after the editing rules.
        scores: measured value by rule; of an editing rule how many places it edited, of `pii` by kind too; `quality`,
            the classifier's score, beside the draw.
        failed: rules whose threshold the document misses, in the order of the rule list; empty where it is kept.
        unevaluated: costly rules left out because another had failed.
        sentence_ends: where sentences of `text` end, if a rule asked; None otherwise.
    """

    text: str
    scores: dict[str, float]
    failed: tuple[str, ...]
    unevaluated: tuple[str, ...]
    sentence_ends: list[int] | None = None


@dataclass(frozen=True)
class Edited:
    """What an editing rule gives: the text, and numbers of places by score."""

    text: str
    scores: dict[str, float]


def _c4(rule: str, form: str, measures: TextMeasures, config: CleanConfig) -> Edited:
    page = measures.c4_page(form)
    return Edited(page.text, {rule: float(page.removed)})


def _gutenberg(measures: TextMeasures, config: CleanConfig) -> Edited:
    text, parts = strip_gutenberg(measures.text)
    return Edited(text, {"gutenberg": float(parts)})


def _pii(measures: TextMeasures, config: CleanConfig) -> Edited:
    text, counts = replace_personal_data(measures.text, config.pii_kinds, measures.language)
    by_kind = {f"pii-{kind}": float(counts[kind]) for kind in config.pii_kinds}
    return Edited(text, {"pii": float(counts.total()), **by_kind})


EDITS: dict[str, Callable[[TextMeasures, CleanConfig], Edited]] = {
    "gutenberg": _gutenberg,
    **{f"c4-lines-{form}": partial(_c4, f"c4-lines-{form}", form) for form in C4_FORMS},
    "pii": _pii,
}


def _mean_word_length(m: TextMeasures) -> float:
    return share(m.word_characters, m.word_count)


def _line_share(m: TextMeasures, holds: Callable[[str], bool]) -> float:
    return share(sum(map(holds, m.lines)), len(m.lines))


def _starting(marks: tuple[str, ...]) -> Callable[[TextMeasures], float]:
    return lambda m: _line_share(m, lambda line: line.startswith(marks))


def _ending(marks: tuple[str, ...]) -> Callable[[TextMeasures], float]:
    return lambda m: _line_share(m, lambda line: line.endswith(marks))


MEASURES: dict[str, Callable[[TextMeasures], float]] = {
    "words-at-least": lambda m: m.word_count,
    "words-at-most": lambda m: m.word_count,
    "mean-word-length-at-least": _mean_word_length,
    "mean-word-length-at-most": _mean_word_length,
    "hashes-per-word": lambda m: share(m.text.count("#"), m.word_count),
    "ellipses-per-word": lambda m: share(m.text.count("...") + m.text.count("…"), m.word_count),
    "bullet-lines": _starting(_BULLETS),
    "bullet-lines-dolma": _starting(_BULLETS_DOLMA),
    "bullet-lines-redpajama": _starting(_BULLETS_REDPAJAMA),
    "ellipsis-lines": _ending(("...", "…")),
    "ellipsis-lines-dolma": _ending(("…",)),
    "alphabetic-words": lambda m: share(m.alphabetic_words, m.word_count),
    "stop-words": lambda m: len(_STOP_WORDS & m.distinct_words(_LONGEST_STOP_WORD)),
    "duplicate-lines": lambda m: share(m.duplicate_lines[0], len(m.lines)),
    "duplicate-paragraphs": lambda m: share(m.duplicate_paragraphs[0], len(m.paragraphs)),
    "duplicate-line-characters": lambda m: share(m.duplicate_lines[1], len(m.text)),
    "duplicate-paragraph-characters": lambda m: share(m.duplicate_paragraphs[1], len(m.text)),
    "duplicate-lines-all-copies": lambda m: share(m.duplicates_all_copies(m.lines)[0], len(m.lines)),
    "duplicate-line-characters-all-copies": lambda m: share(m.duplicates_all_copies(m.lines)[1], len(m.text)),
    **{f"top-{n}-gram-characters": methodcaller("top_ngram_characters", n) for n in (2, 3, 4)},
    **{f"duplicate-{n}-gram-characters": methodcaller("duplicate_ngram_characters", n) for n in range(5, 11)},
    **{
        f"duplicate-{n}-gram-characters-all-copies": methodcaller("duplicate_ngram_characters_all_copies", n)
        for n in range(5, 11)
    },
    "characters-at-most": lambda m: len(m.text),
    "lorem-ipsum": lambda m: m.text.lower().count("lorem ipsum"),
    "lorem-ipsum-as-coded": lambda m: m.c4_page("as-coded").lorem_ipsum,
    "lorem-ipsum-fineweb": lambda m: m.c4_page("fineweb").lorem_ipsum,
    "curly-brackets": lambda m: m.text.count("{"),
    "curly-brackets-as-coded": lambda m: m.c4_page("as-coded").curly_brackets,
    "curly-brackets-fineweb": lambda m: m.c4_page("fineweb").curly_brackets,
    "sentences": lambda m: m.sentences,
    "end-mark-lines": _ending(_END_MARKS),
    "end-mark-lines-any-script": _ending(_END_MARKS_ANY_SCRIPT),
    "short-lines": lambda m: _line_share(m, lambda line: len(line) <= _SHORT_LINE_CHARACTERS),
    "repeated-line-characters": lambda m: share(m.duplicate_lines[1], len(m.text) - m.text.count("\n")),
    "newlines-per-word": lambda m: share(m.text.count("\n"), m.word_count),
}


def evaluate(
    text: str,
    language: str | None,
    language_score: float | None,
    config: CleanConfig,
    url: str | None = None,
    listed: Listed = NO_LISTS,
    classifier: Classifier | None = None,
) -> Verdict:
    """Apply the active rules of `config` to a document; `classifier` is the one that it names.

    The quality draw is of the text as it is stored, after all editing rules, wherever it stands in the list.
    Values are rounded to float32 before they are compared, as they are stored, so that filtering by the stored scores
    gives the same documents.
    """
    measures = TextMeasures(text, language)
    seen: dict[str, TextMeasures] = {}
    other_scores: dict[str, float] = {}
    for rule in config.active_rules():
        if rule in EDITS:
            edited = EDITS[rule](measures, config)
            other_scores |= edited.scores
            if edited.text != measures.text:
                measures = TextMeasures(edited.text, language)
        else:
            seen[rule] = measures

    def value_of(rule: str) -> float:
        if RULES[rule].about == "url":
            return listed.url_value(rule, url)
        if rule == "bad-words":
            return listed.bad_words(seen[rule].text, language)
        if rule == QUALITY_DRAW and classifier is not None:
            other_scores["quality"] = classifier.score(measures.text)
            draw = pareto_draw(content_hash(measures.text), config.seed, config.pareto_alpha)
            return other_scores["quality"] + draw
        return language_value(language, language_score, config) if rule == "language" else MEASURES[rule](seen[rule])

    judged = judge(config, value_of, language)
    return Verdict(
        text=measures.text,
        scores=judged.scores | other_scores,
        failed=judged.failed,
        unevaluated=judged.unevaluated,
        sentence_ends=measures.known_sentence_ends,
    )
