"""Plots as Mermaid text: what is drawn, within which ends, and names that break nothing."""

from __future__ import annotations

import json
import re

from flows.artifacts.mermaid import bar_chart, fenced, flowchart, line_chart, markdown_table


def settings_of(source: str) -> dict:
    first = source.splitlines()[0]
    return json.loads(re.fullmatch(r"%%\{init: (.*)\}%%", first)[1])


def test_a_line_brings_its_colour_and_its_ends():
    source = line_chart("step", (1, 300), "loss", [9.25, 4.0, 3.5])
    colours = settings_of(source)["themeVariables"]["xyChart"]
    assert colours["plotColorPalette"].startswith("#")
    assert source.splitlines()[1:] == [
        "xychart-beta",
        '  x-axis "step" 1 --> 300',
        '  y-axis "loss" 3.2125 --> 9.5375',
        "  line [9.25, 4, 3.5]",
    ]


def test_equal_values_still_have_an_axis():
    low, high = re.search(r'y-axis "loss" (\S+) --> (\S+)', line_chart("step", (1, 2), "loss", [0.0, 0.0])).groups()
    assert float(low) < 0 < float(high)


def test_numbers_have_no_exponents():
    source = line_chart("step", (1, 2_500_000), "loss", [1e-7, 12_345_678.5])
    assert not re.search(r"\d[eE][+-]?\d", "\n".join(source.splitlines()[1:]))


def test_bars_have_labels_and_start_at_nothing():
    source = bar_chart(["read", 'rule "x"\nof mine'], "items", [40, 3])
    assert source.splitlines()[1:] == [
        "xychart-beta horizontal",
        """  x-axis ["read", "rule 'x' of mine"]""",
        '  y-axis "items" 0 --> 42',
        "  bar [40, 3]",
    ]
    assert (
        settings_of(source)["xyChart"]["height"]
        < settings_of(bar_chart(["a"] * 9, "items", [1] * 9))["xyChart"]["height"]
    )


def test_boxes_and_arrows():
    source = flowchart([("a", ["clean", 'web/"07"']), ("b", ["dedup"])], [("a", "b")])
    assert source.splitlines()[1:] == ["flowchart LR", """  a["clean<br/>web/'07'"]""", '  b["dedup"]', "  a --> b"]


def test_markdown_around():
    assert fenced("x") == "```mermaid\nx\n```\n"
    assert markdown_table(("a", "b"), [("x|y", "2")]) == "| a | b |\n| --- | ---: |\n| x\\|y | 2 |\n"
    assert markdown_table(("a", "b", "c"), [], texts=2) == "| a | b | c |\n| --- | --- | ---: |\n"
