"""Plots of a study: loss over learning rate, and how each trial got there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from flows.report.drawing import ACCENT, INK, MUTED, SERIES, SURFACE, figure, label_axes, to_svg
from flows.report.numbers import as_compact
from training.tuning.results import TrialRow

__all__ = ["family_of", "plot_checks", "plot_learning_rates"]

_WIDTH = 9.4
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# A pruned trial far above all others would press the rest together.
_ROOM = 3.0


def family_of(row: TrialRow) -> str:
    """What a trial tried beside the learning rate, as people write it."""
    names = {"batch": "batch {}", "layers": "{} layers", "width": "width {}"}
    return ", ".join(text.format(row.values[name]) for name, text in names.items() if name in row.values) or "trials"


def _top(rows: Sequence[TrialRow]) -> float:
    losses = sorted(row.loss for row in rows if row.loss is not None)
    return losses[0] + _ROOM * max(losses[len(losses) // 2] - losses[0], 0.01)


def plot_learning_rates(rows: Sequence[TrialRow], best: TrialRow) -> Markup:
    """A point for each trial; hollow ones were ended early, and stand at the last loss they had."""
    with figure(_WIDTH, 4.0) as drawn:
        axes = drawn.add_subplot()
        families = sorted({family_of(row) for row in rows})
        for number, name in enumerate(families):
            style: dict[str, Any] = {
                "color": SERIES[number % len(SERIES)],
                "marker": _MARKERS[number // len(SERIES) % len(_MARKERS)],
                "linestyle": "",
                "markersize": 7,
            }
            mine = [row for row in rows if family_of(row) == name and row.loss is not None]
            axes.plot([], [], label=name, **style)
            for whole in (True, False):
                some = [row for row in mine if (row.state == "complete") is whole]
                rates = [row.values["learning_rate"] for row in some]
                face: dict[str, Any] = {} if whole else {"markerfacecolor": SURFACE}
                axes.plot(rates, [row.loss or 0.0 for row in some], **style, **face)
        axes.plot(
            best.values["learning_rate"],
            best.loss or 0.0,
            marker="o",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor=INK,
            linestyle="",
            label=f"the best: {best.values['learning_rate']:.2e}",
        )
        axes.set_xscale("log")
        # Text is not parsed as mathematics in our plots, so powers of ten would show their source.
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(top=_top(rows))
        label_axes(axes, "Loss over learning rate", "learning rate", "validation loss, nats a token")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return to_svg(drawn, "rates", f"Validation loss of {len(rows)} trials over their learning rate")


def plot_checks(rows: Sequence[TrialRow], best: TrialRow, tokens: int, checks: int) -> Markup:
    """A line for each trial: its validation loss over the tokens that it has seen."""
    with figure(_WIDTH, 3.4) as drawn:
        axes = drawn.add_subplot()
        for row in rows:
            seen = [tokens * check / checks for check in row.losses]
            is_best = row.number == best.number
            style: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "alpha": 0.6}
            style = {"color": SERIES[0], "linewidth": 2.4, "zorder": 3} if is_best else style
            axes.plot(seen, list(row.losses.values()), **style)
            if row.state == "pruned" and seen:
                axes.plot(seen[-1], row.losses[max(row.losses)], marker="x", markersize=6, color=ACCENT)
        axes.plot([], [], color=SERIES[0], linewidth=2.4, label=f"trial {best.number + 1}, the best")
        axes.plot([], [], color=MUTED, linewidth=0.9, label="other trials")
        axes.plot([], [], color=ACCENT, marker="x", linestyle="", label="ended early")
        axes.set_ylim(top=_top([row for row in rows if row.losses]) + 1.0)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: as_compact(value)))
        label_axes(axes, "How they got there", "tokens", "validation loss, nats a token")
        axes.legend(loc="upper right")
        return to_svg(drawn, "checks", f"Validation loss of {len(rows)} trials over tokens")
