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
    urls = {name for name, spec in RULES.items() if spec.about == "url"}
    assert set(MEASURES) | edits | urls | {"language", "bad-words", QUALITY_DRAW} == set(RULES)
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
        ("sentences", "One is here. Two! Three?\nv1.5 stays\n\nand so on", 5),  # a line's end ends a sentence
        ("end-mark-lines", 'a.\nb\n"c"\nd', 0.5),
        ("end-mark-lines", "a。\nb”\nc'\nd", 0.25),
        ("end-mark-lines-any-script", "a。\nb”\nc'\nd", 0.75),
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


def test_rules_measure_what_the_edits_before_them_left() -> None:
    text = "Only this line is long enough to stay here.\n{ x }\nToo short."
    before = evaluate(text, "en", 1.0, _config(rules=["curly-brackets", "words-at-least", "c4-lines-as-coded"]))
    after = evaluate(text, "en", 1.0, _config(rules=["c4-lines-as-coded", "curly-brackets", "words-at-least"]))
    assert before.scores == {"curly-brackets": 1, "words-at-least": 12, "c4-lines-as-coded": 2}
    assert after.scores == {"curly-brackets": 0, "words-at-least": 9, "c4-lines-as-coded": 2}
    assert before.text == after.text == "Only this line is long enough to stay here."


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        # At the threshold itself: Gopher and C4 keep it, FineWeb's first three rules do not.
        ("words-at-least", " ".join(["word"] * 50), " ".join(["word"] * 49)),
        ("mean-word-length-at-least", "abc abc", "abc ab"),
        ("mean-word-length-at-most", "abcdefghij", "abcdefghijk"),
        ("hashes-per-word", "# " + "word " * 10, "# " + "word " * 9),
        ("ellipses-per-word", "word… " + "word " * 9, "word… " + "word " * 8),
        ("bullet-lines", "- a\n" * 9 + "a", "- a\n" * 10 + "a"),
        ("ellipsis-lines", "a…\n" * 3 + "a\n" * 7, "a…\n" * 4 + "a\n" * 7),
        ("alphabetic-words", "a a a a 1", "a a a 1"),
        ("stop-words", "the of", "the the"),
        ("duplicate-lines", "a\n" * 4 + "b\nc\nd\ne\nf\ng", "a\n" * 4 + "b\nc\nd\ne\nf"),
        ("sentences", "A man.\n" * 5, "A man.\n" * 4),
        ("end-mark-lines", "a.\n" * 13 + "a\n" * 87, "a.\n" * 12 + "a\n" * 88),
        ("short-lines", "a\n" * 66 + ("x" * 31 + "\n") * 34, "a\n" * 67 + ("x" * 31 + "\n") * 33),
        ("repeated-line-characters", "a\na\n" + "x" * 99, "a\na\n" + "x" * 98),
        ("newlines-per-word", "a\nb\nc\nd" + " e" * 6, "a\nb\nc\nd" + " e" * 5),
        ("characters-at-most", "x" * 190_000, "x" * 190_001),
    ],
)
def test_at_the_threshold(rule: str, kept: str, dropped: str) -> None:
    assert evaluate(kept, "en", 1.0, _config(rules=[rule])).failed == ()
    assert evaluate(dropped, "en", 1.0, _config(rules=[rule])).failed == (rule,)


def test_a_language_has_thresholds_of_its_own() -> None:
    overrides = ("languages=[]", 'rules=["language", "words-at-least"]', "thresholds.words-at-least=3")
    of_languages = ("language_thresholds.fi.language=0.9", "language_thresholds.ja.words-at-least=1")
    config = load_config(CleanConfig, None, [*overrides, *of_languages])
    assert evaluate("one two three", "en", 0.8, config).failed == ()
    assert evaluate("one two three", "fi", 0.8, config).failed == ("language",)
    assert evaluate("one two three", "fi", 0.9, config).failed == ()
    assert evaluate("one two", "fi", 1.0, config).failed == ("words-at-least",)
    assert evaluate("one", "ja", 0.65, config).failed == ()
    assert evaluate("one", None, 0.65, config).failed == ("words-at-least",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("language_thresholds.de.wordy=1", "unknown rule 'wordy'"),
        (
            "language_thresholds.de.banned-url-words=1",
            "rule 'banned-url-words' is asked before the language of a page is known; set it in thresholds",
        ),
        ("preset=nothing", r"clean\.the settings together: unknown preset 'nothing'; there are: fineweb, gopher"),
        ('rules=["wordy"]', "unknown rule 'wordy'; there are: blocked-domains,"),
        ("thresholds.wordy=1", "unknown rule 'wordy'"),
        ("extractor=slow", "clean.extractor: Input should be 'blocks', 'precise', 'fast' or 'resiliparse', got 'slow'"),
        ('rules=["bad-words"]', "rule 'bad-words' needs a list; name its file in lists.bad_words"),
        (
            'pii_kinds=["name"]',
            r"clean\.pii_kinds\.0: Input should be 'email', 'ip-address', 'phone', 'card' or 'secret'",
        ),
        ("brake=1.5", r"clean\.brake: Input should be less than or equal to 1, got 1.5"),
        ("presett=1", r"clean\.presett: unknown key; did you mean 'preset'\?"),
        (
            "max_item_bytes=1000000000",
            r"items of 1000000000 bytes and pages of 500000 tags may take a worker 32536870912 bytes, "
            r"worker_memory_bytes allows 1610612736; raise it, or lower max_item_bytes or max_html_nodes",
        ),
        ("max_html_nodes=600000", r"pages of 600000 tags may take a worker 1765670912 bytes"),
        ("max_item_bytes=0", r"clean\.max_item_bytes: Input should be greater than 0, got 0"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(CleanConfig, None, [override])
