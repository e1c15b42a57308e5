"""Plots and diagrams as Mermaid text, which the UI draws without a network.

Its own line colour is that of hairlines and hardly seen, and the UI puts diagrams on the dark ground of code, by day
and by night: so each plot brings colours that are seen there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

__all__ = ["bar_chart", "fenced", "flowchart", "line_chart", "markdown_table"]

_BLUE = "#58aee6"
_INK = "#c3ccd6"
_WIDTH, _HEIGHT = 640, 360
_BAR_HEIGHT, _BAR_MARGIN = 30, 80
_HEAD = "xychart-beta"
# A plot of equal values still needs an axis with two ends.
_LEAST_SHARE = 0.02


def fenced(source: str) -> str:
    """A diagram as a block of Markdown."""
    return f"```mermaid\n{source}\n```\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'").replace("\n", " ") + '"'


def _number(value: float) -> str:
    return f"{value:.6g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.6f}"


def _settings(height: int) -> str:
    colours = {name: _INK for axis in ("x", "y") for name in (f"{axis}AxisLineColor", f"{axis}AxisTickColor")}
    colours |= {name: _INK for axis in ("x", "y") for name in (f"{axis}AxisLabelColor", f"{axis}AxisTitleColor")}
    colours |= {"plotColorPalette": _BLUE, "titleColor": _INK, "backgroundColor": "transparent"}
    chart = {"width": _WIDTH, "height": height}
    return "%%" + json.dumps({"xyChart": chart, "themeVariables": {"xyChart": colours}}).join(("{init: ", "}")) + "%%"


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    least, most = min(values), max(values)
    margin = max((most - least) * 0.05, abs(most) * _LEAST_SHARE, 1e-3)
    return least - margin, most + margin


def line_chart(x_title: str, x_ends: tuple[float, float], y_title: str, values: Sequence[float]) -> str:
    """A line through values that stand at even distances between the two ends of the x axis; at least two of them."""
    low, high = _bounds(values)
    return "\n".join(
        [
            _settings(_HEIGHT),
            _HEAD,
            f"  x-axis {_quoted(x_title)} {_number(x_ends[0])} --> {_number(x_ends[1])}",
            f"  y-axis {_quoted(y_title)} {_number(low)} --> {_number(high)}",
            f"  line [{', '.join(_number(value) for value in values)}]",
        ]
    )


def bar_chart(labels: Sequence[str], y_title: str, values: Sequence[float]) -> str:
    """Bars that lie one below the other, each with its label; at least one."""
    height = _BAR_MARGIN + _BAR_HEIGHT * len(labels)
    most = max(1.0, math.ceil(max(values) * 1.05))
    return "\n".join(
        [
            _settings(height),
            f"{_HEAD} horizontal",
            f"  x-axis [{', '.join(_quoted(label) for label in labels)}]",
            f"  y-axis {_quoted(y_title)} 0 --> {_number(most)}",
            f"  bar [{', '.join(_number(value) for value in values)}]",
        ]
    )


def flowchart(nodes: Iterable[tuple[str, Sequence[str]]], edges: Iterable[tuple[str, str]]) -> str:
    """Boxes and arrows, from left to right.

    Args:
        nodes: the id of each box, and the lines of text in it.
        edges: ids of the boxes at the two ends of each arrow.
    """
    look = {"themeVariables": {"lineColor": _INK, "nodeBorder": _BLUE, "primaryBorderColor": _BLUE}}
    lines = [f"%%{{init: {json.dumps(look)}}}%%", "flowchart LR"]
    lines += [f"  {name}[{_quoted('<br/>'.join(texts))}]" for name, texts in nodes]
    lines += [f"  {one} --> {other}" for one, other in edges]
    return "\n".join(lines)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """A table of Markdown; the first columns hold so many texts, the others numbers, which stand at the right."""
    marks = ["---"] * texts + ["---:"] * (len(columns) - texts)
    lines = [columns, marks, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
