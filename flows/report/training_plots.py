"""Plots about the model: loss, learning rate, scores before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flows.report.drawing import ACCENT, INK, MUTED, SERIES, SURFACE, figure, label_axes, to_svg
from flows.report.numbers import as_metric, as_number, as_shots
from flows.report.training_facts import Finetuning, MetricChange, TrainingRun
from training.evaluation.results import Score

__all__ = [
    "plot_changes",
    "plot_compression",
    "plot_learning_rate",
    "plot_loss",
    "plot_tasks",
]

_WIDTH = 9.4
_HALF = 4.6
# Of the exponential mean that is drawn through the noise of single batches.
_SMOOTHING_STEPS = 10
_ERROR_BARS = {"ecolor": INK, "elinewidth": 1, "capsize": 2}
_DASHES = (0, (4, 2))
_GAP = 2 * "\N{NO-BREAK SPACE}"  # between a bar and its figure
_UNTRAINED: dict[str, Any] = {
    "marker": "o",
    "markersize": 6,
    "color": SURFACE,
    "markeredgecolor": INK,
    "linestyle": "",
}
_CHANCE: dict[str, Any] = {"color": INK, "linewidth": 1.6, "linestyle": _DASHES}


def _smooth(values: Sequence[float]) -> list[float]:
    """Exponential mean, without the pull of an arbitrary first value."""
    keep = 1 - 1 / _SMOOTHING_STEPS
    total = weight = 0.0
    smoothed = []
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        smoothed.append(total / weight)
    return smoothed


def plot_loss(run: TrainingRun) -> Markup:
    """Loss on training batches and on the validation split, with the bigram model to beat."""
    steps, losses = [row["step"] for row in run.steps], [row["loss"] for row in run.steps]
    smooth = _smooth(losses)
    with figure(_WIDTH, 3.5) as drawn:
        axes = drawn.add_subplot()
        axes.plot(steps, losses, color=SERIES[0], linewidth=0.8, alpha=0.35)
        axes.plot(steps, smooth, color=SERIES[0], label=f"training batches (mean over ~{_SMOOTHING_STEPS} steps)")
        if run.validations:
            at, validation = zip(*((row["step"], row["validation_loss"]) for row in run.validations), strict=True)
            axes.plot(at, validation, color=SERIES[1], marker="o", markersize=4, label="validation split")
        others = run.test_loss.others if run.test_loss else {}
        if "loss" in others:
            place = steps[-1:], [others["loss"]]
            axes.plot(
                *place,
                color=ACCENT,
                marker="D",
                markersize=5,
                linestyle="",
                label=f"test split ({as_number(others['loss'], 2)})",
            )
        if "bigram_loss" in others:
            label = f"add-one bigram model on the test split ({as_number(others['bigram_loss'], 2)})"
            axes.axhline(others["bigram_loss"], color=MUTED, linewidth=1.4, linestyle=_DASHES, label=label)
        axes.set_xlim(left=0)
        label_axes(axes, "Loss while training", "optimizer step", "loss, nats per token")
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, 1.0))
        text = f"Training loss goes from {losses[0]:.2f} to {smooth[-1]:.2f} nats per token"
        return to_svg(drawn, "loss", text)


def plot_learning_rate(run: TrainingRun) -> Markup:
    """The schedule as it was."""
    with figure(_HALF, 2.4) as drawn:
        axes = drawn.add_subplot()
        axes.plot([row["step"] for row in run.steps], [row["learning_rate"] for row in run.steps], color=SERIES[2])
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        label_axes(axes, "Learning rate", "optimizer step", "learning rate")
        return to_svg(drawn, "learning-rate", "Learning rate at each step")


def plot_compression(score: Score) -> Markup:
    """Bits per byte on held-out text: what a uniform guess, the untrained model, bigrams and the model need."""
    bars = [
        ("uniform guess", score.chance, None),
        ("untrained model", score.untrained, score.untrained_standard_error),
        ("add-one bigrams", score.others.get("bigram_bits_per_byte"), None),
        ("this model", score.value, score.standard_error),
    ]
    there = [(name, value, error) for name, value, error in bars if value is not None]
    with figure(_HALF, 2.4) as drawn:
        axes = drawn.add_subplot()
        for row, (name, value, error) in enumerate(there):
            axes.barh(name, value, color=SERIES[0] if name == "this model" else MUTED, height=0.6)
            if error:
                axes.errorbar(value, row, xerr=error, color=INK, elinewidth=1, capsize=2)
            axes.text(value + (error or 0), row, f"{_GAP}{as_number(value, 2)}", va="center", color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, max(value for _, value, _ in there) * 1.2)
        axes.tick_params(axis="y", labelcolor=INK)
        label_axes(axes, "Held-out text, compressed", "bits per byte (lower is better)", "", grid="x")
        return to_svg(drawn, "compression", "Bits per byte of the test split for this model and its baselines")


def _error(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0


def _task_bars(axes: Axes, place: int, scores: Sequence[Score], colors: Mapping[int, str], width: float) -> None:
    """The bars of one task around its place on the axis, with the untrained model's dots and the line of chance."""
    for rank, score in enumerate(scores):
        slot = place + (rank - (len(scores) - 1) / 2) * width
        error = _error(score.standard_error)
        axes.bar(slot, score.value or 0.0, 0.82 * width, yerr=error, color=colors[score.shots], error_kw=_ERROR_BARS)
        if score.untrained is not None:
            axes.plot(slot, score.untrained, **_UNTRAINED)
    chances = [score.chance for score in scores if score.chance is not None]
    if chances:
        axes.plot([place - 0.42, place + 0.42], [np.mean(chances)] * 2, **_CHANCE)


def plot_tasks(scores: Sequence[Score]) -> Markup:
    """Every task under every number of shots: before training, after it, and what chance gives."""
    tasks = list(dict.fromkeys(score.task for score in scores))
    shots = sorted({score.shots for score in scores})
    colors = {number: SERIES[rank % len(SERIES)] for rank, number in enumerate(shots)}
    metrics = {score.task: as_metric(score.metric) for score in scores}
    with figure(_WIDTH, 3.4) as drawn:
        axes = drawn.add_subplot()
        for place, task in enumerate(tasks):
            of_task = sorted((score for score in scores if score.task == task), key=lambda score: score.shots)
            _task_bars(axes, place, of_task, colors, 0.8 / len(shots))
        for number in shots:
            axes.bar(0, 0, color=colors[number], label=as_shots(number))
        axes.plot([], [], **_UNTRAINED, label="untrained model")
        axes.plot([], [], **_CHANCE, label="chance")
        axes.set_xticks(range(len(tasks)), [f"{task}\n({metrics[task]})" for task in tasks])
        axes.tick_params(axis="x", labelcolor=INK)
        axes.set_ylim(bottom=0)
        label_axes(axes, "Tasks cut from held-out documents", "task (metric)", "score, 0 to 1 (bars: ± 1 s.e.)")
        drawn.legend(loc="outside lower right", ncols=len(shots) + 2)
        return to_svg(drawn, "tasks", "Score of each task by number of examples, beside chance and the untrained model")


def _change_axes(axes: Axes, changes: Sequence[MetricChange]) -> None:
    for offset, when, color in ((-0.19, "before", MUTED), (0.19, "after", SERIES[0])):
        estimates = [getattr(change, when) for change in changes]
        values = [estimate.value or 0.0 for estimate in estimates]
        errors = [_error(estimate.standard_error) for estimate in estimates]
        places = np.arange(len(changes)) + offset
        label = f"{when} fine-tuning"
        bars = axes.bar(places, values, 0.34, yerr=errors, color=color, label=label, error_kw=_ERROR_BARS)
        axes.bar_label(bars, [as_number(value, 2) for value in values], padding=3, color=INK, fontsize=8.5)
    axes.set_xticks(range(len(changes)), [as_metric(change.name) for change in changes])
    axes.tick_params(axis="x", labelcolor=INK)
    axes.margins(y=0.16)
    axes.set_ylim(bottom=0)


def plot_changes(finetuning: Finetuning) -> Markup:
    """Each metric on the test pairs, before and after; losses on an axis of their own."""
    shares = [change for change in finetuning.changes if not change.name.endswith("loss")]
    losses = [change for change in finetuning.changes if change.name.endswith("loss")]
    groups = [group for group in (shares, losses) if group]
    with figure(_WIDTH, 3.0) as drawn:
        panels = np.atleast_1d(drawn.subplots(1, len(groups), width_ratios=[len(group) for group in groups]))
        for axes, group in zip(panels, groups, strict=True):
            _change_axes(axes, group)
        if shares:
            label_axes(panels[0], "Answers to test prompts", "metric (higher is better)", "score, 0 to 1")
        if losses:
            label_axes(panels[-1], "Loss of the right answer", "metric (lower is better)", "nats per token")
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower right", ncols=2)
        return to_svg(drawn, "finetuning", "Scores on test pairs before and after fine-tuning")
