"""From the values that rules measured to a verdict: which rules failed, and which were not asked any more.

The same function decides while pages are cleaned and when stored scores are judged by other thresholds, so that both
give the same rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import RULES

__all__ = ["Judgement", "judge", "language_value", "passes"]


@dataclass(frozen=True)
class Judgement:
    """What the values of a document say under a config; editing rules are no part of it.

    Attributes:
        scores: measured value by rule, rounded to float32.
        failed: rules whose threshold is missed, in the order of the rule list.
        unevaluated: rules that were not asked because others had failed, in the order of the rule list.
    """

    scores: dict[str, float]
    failed: tuple[str, ...]
    unevaluated: tuple[str, ...]


# By side of the rule: (value, threshold) to whether it is kept.
_KEEPS: dict[str, Callable[[Any, Any], Any]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}


def passes(rule: str, values: Any, config: CleanConfig, language: str | None) -> Any:
    """Whether a value, or each of a float32 array, lies on the kept side of the rule's threshold, as float32.

    `language` is that of the page, or of all of them; None where none is known, as for rules about the URL.
    """
    return _KEEPS[RULES[rule].side](values, np.float32(config.threshold(rule, language)))


def language_value(language: str | None, score: float | None, config: CleanConfig) -> float:
    """The value of the rule `language`: the score where the language is wanted, else 0.

    A language that the record states has no score of ours and counts as certain.
    """
    wanted = config.kept_languages()
    if wanted and language not in wanted:
        return 0.0
    return 1.0 if score is None else score


def judge(config: CleanConfig, value_of: Callable[[str], float], language: str | None) -> Judgement:
    """Ask the active rules about a page in a language, those about the URL first and costly ones last.

    Where a rule about the URL fails, nothing else is asked; where any other fails, no costly one that follows is.
    """
    active = config.active_rules()
    filters = [rule for rule in active if RULES[rule].side != "edits"]
    scores: dict[str, float] = {}
    failed: set[str] = set()

    def ask(rule: str) -> None:
        scores[rule] = float(np.float32(value_of(rule)))
        if not passes(rule, np.float32(scores[rule]), config, language):
            failed.add(rule)

    for rule in filters:
        if RULES[rule].about == "url":
            ask(rule)
    if not failed:
        for rule in filters:
            if RULES[rule].about != "url" and not RULES[rule].costly:
                ask(rule)
        for rule in filters:
            if RULES[rule].costly and not failed:
                ask(rule)
    asked = filters if not any(RULES[rule].about == "url" for rule in failed) else active
    return Judgement(
        scores=scores,
        failed=tuple(rule for rule in filters if rule in failed),
        unevaluated=tuple(rule for rule in asked if rule not in scores),
    )
