"""Verdicts of the rules and presets."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.cleaning.rules import EDITS, MEASURES, evaluate
from schemas.configs.base import load_config
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import PRESETS, QUALITY_DRAW, RULES
from schemas.errors import ConfigError

GOOD = " ".join(
    f"The {noun} of the valley was seen by travellers that have walked there, and with {count} steps to be made."
    for count, noun in enumerate(
        ["river", "castle", "garden", "bridge", "market", "tower", "orchard", "harbour", "meadow", "chapel"]
    )
)


def _config(**values: object) -> CleanConfig:
    return CleanConfig.model_validate(values)


def test_every_rule_is_measured_or_edits() -> None:
    edits = {name for name, spec in RULES.items() if spec.side == "edits"}
    assert set(EDITS) == edits
    assert set(MEASURES) | edits | {"language", QUALITY_DRAW} == set(RULES)
    assert all(set(preset.rules) <= set(RULES) for preset in PRESETS.values())


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        ("words-at-least", "one two, three!", 3),
        ("mean-word-length-at-most", "a bbb", 2),
        ("hashes-per-word", "# one # two", 1),
        ("ellipses-per-word", "one... two… three four", 0.5),
        ("bullet-lines", "• a\n- b\nc\nd", 0.5),
        ("ellipsis-lines", "a...\nb…\nc\nd", 0.5),
        ("alphabetic-words", "one 2 three 4", 0.5),
        ("stop-words", "The be of and", 3),  # case counts: "The" is none
        ("duplicate-lines", "a\na\na\nb", 0.5),
        ("duplicate-line-characters", "aaaa\naaaa\n", 0.4),
        ("lorem-ipsum", "Lorem Ipsum dolor", 1),
        ("curly-brackets", "f() { }", 1),
        ("sentences", "One. Two! Three? v1.5 stays.", 4),
        ("end-mark-lines", 'a.\nb\n"c"\nd', 0.5),
        ("short-lines", "short\n" + "x" * 31, 0.5),
        ("newlines-per-word", "a\nb\nc d", 0.5),
    ],
)
def test_measured_values(rule: str, text: str, value: float) -> None:
    verdict = evaluate(text, "en", 1.0, _config(rules=[rule]))
    assert verdict.scores == {rule: pytest.approx(value)}


def test_a_good_text_passes_gopher_and_fineweb() -> None:
    for preset in ("gopher", "fineweb"):
        config = _config(preset=preset, thresholds=dict.fromkeys(["top-2-gram-characters"], 0.5))
        verdict = evaluate(GOOD, "en", 0.99, config)
        repetition = {name for name in verdict.failed if "gram" in name}
        assert set(verdict.failed) == repetition


def test_all_failed_rules_are_listed_and_costly_ones_left_out() -> None:
    verdict = evaluate("x 1 2 3", "de", 0.9, _config(preset="fineweb"))
    assert verdict.failed[0] == "language"
    assert {"words-at-least", "alphabetic-words", "stop-words"} <= set(verdict.failed)
    assert "top-2-gram-characters" in verdict.unevaluated
    assert not set(verdict.unevaluated) & set(verdict.scores)


def test_no_rules_change_nothing() -> None:
    text = "me@example.org {"
    verdict = evaluate(text, None, 0.0, _config(rules=[]))
    assert (verdict.text, verdict.scores, verdict.failed, verdict.unevaluated) == (text, {}, (), ())


def test_scores_compare_as_they_are_stored() -> None:
    text = "\n".join(["• a"] * 3 + ["b"] * 7)
    verdict = evaluate(text, "en", 1.0, _config(rules=["bullet-lines"], thresholds={"bullet-lines": 0.3}))
    assert verdict.scores["bullet-lines"] == float(np.float32(0.3))
    assert not verdict.failed


def test_c4_lines() -> None:
    text = "Read our privacy policy here.\nPlease enable javascript now.\nToo short.\nThis line stays as it is"
    assert evaluate(text, "en", 1.0, _config(rules=["c4-lines"])).text == "This line stays as it is"
    assert evaluate(text, "en", 1.0, _config(rules=["c4-lines-with-end-mark"])).text == ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("preset=nothing", r"clean\.the settings together: unknown preset 'nothing'; there are: fineweb, gopher"),
        ('rules=["wordy"]', "unknown rule 'wordy'; there are: language,"),
        ("thresholds.wordy=1", "unknown rule 'wordy'"),
        ("extractor=slow", "clean.extractor: Input should be 'blocks', 'precise', 'fast' or 'resiliparse', got 'slow'"),
        ("presett=1", r"clean\.presett: unknown key; did you mean 'preset'\?"),
        ("max_item_bytes=0", r"clean\.max_item_bytes: Input should be greater than 0, got 0"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(CleanConfig, None, [override])
