"""Plots as SVG that lives inside a page: its colours follow light and dark, its ids are the page's own.

Matplotlib knows no CSS variables, so it draws with one stand-in colour for each role, and the stand-ins are replaced in
the SVG by `var(--role)`. The same facts give the same bytes: no date, ids from content.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "SERIES", "SURFACE", "figure", "label_axes", "to_svg"]

# Stand-ins: colours that nothing else in a figure has. The page's style sheet says what they look like.
_ROLES = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "surface": "#040404",
    "series-1": "#050505",
    "series-2": "#060606",
    "series-3": "#070707",
    "series-4": "#080808",
    "accent": "#090909",
}
INK, MUTED, GRID, SURFACE = (_ROLES[name] for name in ("ink", "muted", "grid", "surface"))
SERIES = tuple(_ROLES[f"series-{number}"] for number in range(1, 5))
ACCENT = _ROLES["accent"]

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and read out by a screen reader
    "svg.hashsalt": "corpusmill",
    "text.parse_math": False,  # names come from users, and a dollar sign is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # for measuring only: ships with Matplotlib, and wider than what pages show
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
}
_POINTS = 72


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches under the page's style; everything about it is to be done inside the body."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), dpi=_POINTS, layout="constrained")


def label_axes(axes: Axes, title: str, x: str, y: str, *, grid: str = "y") -> None:
    """Title and axis labels, and grid lines along one axis alone."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=False, axis="y" if grid == "x" else "x")


def to_svg(drawn: Figure, name: str, description: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        drawn: the figure.
        name: letters, digits and dashes; unique on the page, as ids begin with it.
        description: what is seen, for those who do not see it.
    """
    buffer = io.StringIO()
    FigureCanvasSVG(drawn).print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    for role, stand_in in _ROLES.items():
        text = text.replace(stand_in, f"var(--{role})")
    view_box = re.search(r'viewBox="[^"]+"', text)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view_box[0] if view_box else ""} role="img" aria-label="{escape(description)}">'
    )
    # Matplotlib escapes the text that it draws; the description is escaped above.
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1))  # noqa: S704
