"""The funnel page: one static file that needs nothing else, of bounded size whatever the corpus."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from markupsafe import Markup

from flows.funnel_report.facts import FunnelFacts, read_funnel_facts
from flows.funnel_report.histograms import Histogram, is_logarithmic
from flows.report.numbers import as_compact, as_count
from flows.report.page import page_environment, put_page
from schemas.storage import join_url

__all__ = ["plot_histogram", "render_funnel", "write_funnel_report"]

_NAME = "funnel.html"
# A source in detail takes about 300 kB, one partition 5 kB: with these the page stays below 5 MB.
_SOURCES_IN_DETAIL = 8
_PARTITIONS_IN_DETAIL = 200
_TITLE_CHARACTERS = 160

_SIGNS = {"at_least": "≥", "at_most": "≤", "above": "&gt;", "below": "&lt;"}

_WIDTH, _HEIGHT, _BASE = 640.0, 96.0, 80.0


def _as_value(value: float) -> str:
    """A measured value: whole numbers as such, others to three digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return as_count(int(value))
    return f"{value:.3g}" if abs(value) < 1000 else as_compact(value)


def _scale(edges: np.ndarray) -> np.ndarray:
    """Where edges lie, from 0 to 1."""
    placed = np.log1p(edges) if is_logarithmic(edges) else edges
    return np.asarray((placed - placed[0]) / (placed[-1] - placed[0]))


def _bars(counts: np.ndarray, left: np.ndarray, heights: np.ndarray) -> str:
    parts = []
    for index in np.flatnonzero(counts):
        x, width = left[index], max(left[index + 1] - left[index] - 0.8, 0.8)
        parts.append(f"M{x:.1f} {_BASE:g}h{width:.1f}v{-heights[index]:.1f}h{-width:.1f}z")
    return "".join(parts)


def plot_histogram(histogram: Histogram, thresholds: tuple[tuple[float, str], ...]) -> Markup:
    """Bars whose heights are logarithms of counts: blue for rows that became documents, orange above for dropped ones.

    A bar of both is as high as their sum's logarithm, parted in proportion.
    """
    left = _scale(histogram.edges) * _WIDTH
    sums = histogram.kept + histogram.dropped
    heights = (_BASE - 8) * np.log1p(sums) / max(np.log1p(sums.max()), 1e-9)
    kept_heights = heights * histogram.kept / np.maximum(sums, 1)
    below = _bars(histogram.kept, left, kept_heights)
    whole = _bars(sums, left, heights)
    lines, labels = [], []
    for threshold, side in thresholds:
        edge = np.searchsorted(histogram.edges, threshold, side="left")
        x = left[min(int(edge), len(left) - 1)]
        lines.append(f'<path class="limit" d="M{x:.1f} 0v{_BASE:g}"/>')
        anchor, shift = ("start", 5) if side in {"at_least", "above"} else ("end", -5)
        if (x > _WIDTH - 90 and anchor == "start") or (x < 90 and anchor == "end"):
            anchor, shift = ("end", -5) if anchor == "start" else ("start", 5)
        text = f"kept {_SIGNS[side]} {_as_value(threshold)}"
        labels.append(f'<text class="limit" x="{x + shift:.1f}" y="9" text-anchor="{anchor}">{text}</text>')
    low, high = _as_value(float(histogram.edges[0])), _as_value(float(np.float32(histogram.edges[-1])))
    ticks = (
        f'<text x="0" y="{_HEIGHT - 3:g}">{low}</text>'
        f'<text x="{_WIDTH:g}" y="{_HEIGHT - 3:g}" text-anchor="end">{high}</text>'
    )
    if is_logarithmic(histogram.edges):
        ticks += f'<text x="{_WIDTH / 2:g}" y="{_HEIGHT - 3:g}" text-anchor="middle">logarithmic</text>'
    # Only numbers were put into it.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="Distribution of {histogram.total} values">'
        f'<path class="dropped" d="{whole}"/><path class="kept" d="{below}"/>'
        f'<path class="axis" d="M0 {_BASE:g}h{_WIDTH:g}"/>{"".join(lines)}{"".join(labels)}{ticks}</svg>'
    )


def _shortened(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1] + "…"


def render_funnel(facts: FunnelFacts, made_at: datetime) -> str:
    """The page as HTML; the same facts and time give the same bytes."""
    environment = page_environment("flows.funnel_report")
    environment.filters.update(value=_as_value, shortened=_shortened)
    environment.globals.update(histogram=plot_histogram, most_partitions=_PARTITIONS_IN_DETAIL)
    template = environment.get_template("funnel_template.html")
    return template.render(facts=facts, made_at=made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"))


def write_funnel_report(root: str, out: str | None = None) -> str:
    """Write the funnel page on a corpus.

    Args:
        root: folder or fsspec URL of the corpus.
        out: file to write; `funnel.html` in the corpus where not given.

    Returns:
        Where the page lies.

    Raises:
        InputError: nothing was cleaned there.
        ContractError: rows do not add up to their manifest, or a file is missing or damaged.
        OutputError: the page cannot be written.
    """
    page = render_funnel(read_funnel_facts(root, _SOURCES_IN_DETAIL), datetime.now(UTC))
    return put_page(page, out or join_url(root, _NAME))
