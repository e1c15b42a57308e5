"""Plots about the corpus: where pages went, duplicates, tokens, time and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, MaxNLocator

from flows.report.costs import Costs
from flows.report.drawing import ACCENT, GRID, INK, MUTED, SERIES, figure, label_axes, to_svg
from flows.report.funnel import Funnel
from flows.report.numbers import as_bytes, as_compact, as_count, as_duration, as_percent, as_tick
from schemas.split import SPLITS, Split

__all__ = ["plot_cluster_sizes", "plot_costs", "plot_funnel", "plot_similarities", "plot_tokens"]

_WIDTH = 9.4
_HALF = 4.6
_BAR_INCHES = 0.3
_GAP = 2 * "\N{NO-BREAK SPACE}"  # between a bar and its figure
_KIND_COLORS = {"dead": SERIES[1], "dropped": ACCENT, "duplicate": SERIES[3], "contaminated": SERIES[2]}
_KIND_NAMES = {
    "dead": "could not be read",
    "dropped": "dropped by a rule",
    "duplicate": "duplicate",
    "contaminated": "contaminated",
}
_SIZES = ((2, 2), (3, 3), (4, 4), (5, 9), (10, 99), (100, None))


def _tick(value: float, _: int) -> str:
    return as_tick(value)


def plot_funnel(funnel: Funnel) -> Markup:
    """A waterfall: each bar takes away what its reason removed, the last bar is what stays."""
    labels = ["read", *(step.reason for step in funnel.steps), "kept"]
    with figure(_WIDTH, 1.1 + _BAR_INCHES * len(labels)) as drawn:
        axes = drawn.add_subplot()
        left = funnel.items
        axes.barh(0, funnel.items, color=SERIES[0], height=0.68)
        axes.text(funnel.items, 0, f"{_GAP}{as_count(funnel.items)}", va="center", color=INK)
        seen: set[str] = set()
        for row, step in enumerate(funnel.steps, start=1):
            name = _KIND_NAMES[step.kind] if step.kind not in seen else None
            seen.add(step.kind)
            axes.barh(row, step.removed, left=step.left, color=_KIND_COLORS[step.kind], height=0.68, label=name)
            share = as_percent(step.removed, funnel.items)
            axes.text(left, row, f"{_GAP}−{as_count(step.removed)} ({share})", va="center", color=MUTED)
            axes.plot([step.left, step.left], [row - 0.34, row + 1.34], color=GRID, linewidth=0.8, zorder=0)
            left = step.left
        last = len(labels) - 1
        axes.barh(last, funnel.kept, color=SERIES[0], height=0.68)
        kept = f"{_GAP}{as_count(funnel.kept)} ({as_percent(funnel.kept, funnel.items)})"
        axes.text(funnel.kept, last, kept, va="center", color=INK, weight="bold")
        axes.set_yticks(range(len(labels)), labels)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(0, max(1, funnel.items) * 1.12)
        axes.set_ylim(last + 0.6, -0.6)
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        label_axes(axes, "Where every item went", "items (pages, files or rows)", "", grid="x")
        if seen:
            drawn.legend(loc="outside lower right", ncols=len(seen))
        text = f"Of {as_count(funnel.items)} items, {as_count(funnel.kept)} were kept; the table has each number."
        return to_svg(drawn, "funnel", text)


def plot_cluster_sizes(sizes: Mapping[int, int]) -> Markup:
    """How many groups of repeated documents there are, by how many documents are in one."""
    bars = []
    for low, high in _SIZES:
        count = sum(number for size, number in sizes.items() if size >= low and (high is None or size <= high))
        bars.append((str(low) if low == high else f"{low}–{high}" if high else f"≥ {low}", count))
    while len(bars) > 1 and not bars[-1][1]:
        bars.pop()
    with figure(_HALF, 2.6) as drawn:
        axes = drawn.add_subplot()
        drawn_bars = axes.bar([name for name, _ in bars], [count for _, count in bars], color=SERIES[3], width=0.62)
        axes.bar_label(drawn_bars, [as_count(count) for _, count in bars], padding=2, color=INK)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.margins(y=0.15)
        label_axes(axes, "Groups of repeated documents", "documents in the group", "groups")
        return to_svg(drawn, "clusters", "Number of duplicate groups by their size")


def plot_similarities(similarities: Sequence[float]) -> Markup:
    """How like its keeper each near copy is."""
    with figure(_HALF, 2.6) as drawn:
        axes = drawn.add_subplot()
        lowest = min(0.8, *similarities)
        axes.hist(similarities, bins=20, range=(lowest, 1.0), color=SERIES[3], rwidth=0.86)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.margins(y=0.1)
        axes.set_xlim(lowest, 1.0)
        label_axes(axes, "Near copies and what was kept", "exact Jaccard similarity, word 5-grams", "documents")
        return to_svg(drawn, "similarities", "Histogram of the similarity of near copies to the documents kept")


def plot_tokens(tokens: Mapping[str, Mapping[Split, int]], name: str) -> Markup:
    """Tokens by source, cut by split; `name` is that of the element."""
    totals = {source: sum(by_split.values()) for source, by_split in tokens.items()}
    ordered = sorted(tokens, key=lambda source: (-totals[source], source))
    largest = max(totals.values(), default=0) or 1
    with figure(_WIDTH, 1.2 + 0.42 * len(ordered)) as drawn:
        axes = drawn.add_subplot()
        for split, color in zip(SPLITS, SERIES, strict=False):
            before = SPLITS[: SPLITS.index(split)]
            starts = [sum(tokens[source][one] for one in before) for source in ordered]
            widths = [tokens[source][split] for source in ordered]
            axes.barh(ordered, widths, left=starts, color=color, height=0.6, label=split)
        for row, source in enumerate(ordered):
            axes.text(totals[source], row, f"{_GAP}{as_compact(totals[source])}", va="center", color=INK)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(0, largest * 1.1)
        axes.xaxis.set_major_formatter(FuncFormatter(_tick))
        label_axes(axes, "Tokens by source and split", "tokens", "", grid="x")
        drawn.legend(loc="outside lower right", ncols=3)
        return to_svg(drawn, name, "Tokens of each source in train, validation and test")


def plot_costs(costs: Costs) -> Markup:
    """Seconds and memory of each step, side by side."""
    steps = costs.steps
    rows = range(len(steps))
    gigabytes = [(step.peak_bytes or 0) / 1e9 for step in steps]
    with figure(_WIDTH, 1.1 + _BAR_INCHES * len(steps)) as drawn:
        time, memory = drawn.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        time.barh(rows, [step.seconds for step in steps], color=SERIES[0], height=0.66)
        memory.barh(rows, gigabytes, color=SERIES[2], height=0.66)
        for row, step in zip(rows, steps, strict=True):
            time.text(step.seconds, row, f"{_GAP}{as_duration(step.seconds)}", va="center", color=INK)
            peak, color = (as_bytes(step.peak_bytes), INK) if step.peak_bytes else ("not measured", MUTED)
            memory.text(gigabytes[row], row, f"{_GAP}{peak}", va="center", color=color)
        time.set_yticks(rows, [step.step for step in steps])
        time.tick_params(axis="y", labelcolor=INK)
        time.invert_yaxis()
        for axes, values in ((time, [step.seconds for step in steps]), (memory, gigabytes)):
            axes.set_xlim(0, (max(values) or 1) * 1.35)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        label_axes(time, "Time by step", f"seconds ({costs.seconds_of})", "", grid="x")
        label_axes(memory, "Peak memory by step", f"gigabytes ({costs.memory_of})", "", grid="x")
        return to_svg(drawn, "costs", "Seconds and memory of each step")
