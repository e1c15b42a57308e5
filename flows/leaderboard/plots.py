"""Plots of the leaderboard: scores against tokens seen, and against examples shown (Brown et al. 2020, figure 1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from markupsafe import Markup

from flows.leaderboard.facts import Board, Checkpoint, tag_scores
from flows.report.drawing import INK, MUTED, SERIES, figure, label_axes, to_svg
from flows.report.numbers import as_metric, as_tick

__all__ = ["plot_shots", "plot_tags_by_tokens", "plot_tasks_by_tokens", "tasks_with_shots"]

_WIDTH = 9.4
_ROW = 2.1
_ACROSS = 3
_DASHES = (0, (4, 2))
_MARKERS = ("o", "s", "D", "^", "v", "P")
Point = tuple[float, float, float]  # place, value, standard error


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each name: markers tell apart what shares a colour."""
    colors = cycle(SERIES)
    return {
        name: {"color": next(colors), "marker": _MARKERS[rank // len(SERIES) % len(_MARKERS)], "markersize": 4}
        for rank, name in enumerate(names)
    }


def _panels(
    name: str,
    description: str,
    panels: Mapping[str, tuple[str, Mapping[str, list[Point]], float | None]],
    across: str,
    *,
    as_counts: bool,
) -> Markup:
    """Small plots side by side: by title, the label of the score, the lines by name, and chance."""
    styles = _styles(list(dict.fromkeys(line for _, lines, _ in panels.values() for line in lines)))
    rows = -(-len(panels) // _ACROSS)
    with figure(_WIDTH, _ROW * rows + 0.5) as drawn:
        grid = drawn.subplots(rows, _ACROSS, squeeze=False)
        flat = [axes for row in grid for axes in row]
        for axes in flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, (label, lines, chance)) in zip(flat, panels.items(), strict=False):
            for line, points in lines.items():
                places, values, errors = zip(*sorted(points), strict=True)
                axes.errorbar(places, values, yerr=errors, elinewidth=0.8, capsize=2, label=line, **styles[line])
            if chance is not None:
                axes.axhline(chance, color=MUTED, linewidth=1.2, linestyle=_DASHES)
            label_axes(axes, title, across, label)
            if as_counts:
                axes.xaxis.set_major_formatter(lambda value, _: as_tick(value))
            else:
                axes.set_xticks(sorted({place for points in lines.values() for place, _, _ in points}))
            axes.tick_params(axis="x", labelcolor=INK)
        handles = {
            line: handle for axes in flat for handle, line in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        drawn.legend(handles.values(), handles.keys(), loc="outside lower right", ncols=min(4, len(handles)))
        return to_svg(drawn, name, description)


def _with_tokens(board: Board) -> list[Checkpoint]:
    """Checkpoints of runs that have several with known tokens."""
    counted = [one for one in board.checkpoints if one.tokens is not None]
    runs = [one.run for one in counted]
    return [one for one in counted if runs.count(one.run) > 1]


def plot_tags_by_tokens(board: Board, name: str) -> Markup | None:
    """The mean of each tag against tokens seen; None where no run has two checkpoints."""
    panels: dict[str, tuple[str, dict[str, list[Point]], float | None]] = {}
    for one in _with_tokens(board):
        for tag in tag_scores(one, board.tags):
            lines = panels.setdefault(tag.tag, ("0 chance, 1 all right", {}, 0.0))[1]
            lines.setdefault(one.name, []).append((float(one.tokens or 0), tag.value, tag.standard_error or 0.0))
    if not panels:
        return None
    text = "Mean score of each tag against tokens of training"
    return _panels(name, text, dict(sorted(panels.items())), "tokens seen", as_counts=True)


def plot_tasks_by_tokens(board: Board, name: str) -> Markup | None:
    """The score of each task, by its most shots, against tokens seen; None where no run has two checkpoints."""
    most = dict(sorted(board.keys, key=lambda key: key[1]))
    panels: dict[str, tuple[str, dict[str, list[Point]], float | None]] = {}
    checkpoints = _with_tokens(board)
    for task in dict.fromkeys(task for task, _ in board.keys):
        for one in checkpoints:
            score = one.score(task, most[task])
            if score is None or score.value is None:
                continue
            title = f"{task}, {most[task]} shots" if most[task] else task
            lines = panels.setdefault(title, (as_metric(score.metric), {}, score.chance))[1]
            lines.setdefault(one.name, []).append((float(one.tokens or 0), score.value, score.standard_error or 0.0))
    if not panels:
        return None
    return _panels(name, "Score of each task against tokens of training", panels, "tokens seen", as_counts=True)


def tasks_with_shots(board: Board) -> list[str]:
    """Tasks that were scored with more than one number of examples."""
    tasks = [task for task, _ in board.keys]
    return [task for task in dict.fromkeys(tasks) if tasks.count(task) > 1]


def plot_shots(board: Board, name: str) -> Markup | None:
    """The newest score of each run against examples in the prompt; None where no task has two numbers of them."""
    panels: dict[str, tuple[str, dict[str, list[Point]], float | None]] = {}
    for task in tasks_with_shots(board):
        for one in board.newest:
            points = [
                (float(score.shots), score.value, score.standard_error or 0.0)
                for score in one.result.scores
                if score.task == task and score.value is not None
            ]
            if points:
                some = board.any_score(task, int(points[0][0]))
                panels.setdefault(task, (as_metric(some.metric), {}, some.chance))[1][one.name] = points
    if not panels:
        return None
    return _panels(name, "Score of each task against examples shown", panels, "examples in the prompt", as_counts=False)
