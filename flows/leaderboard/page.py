"""The leaderboard as static pages that need nothing else: one of scores, and one of every item for each task."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from flows.leaderboard.facts import Board, Checkpoint, read_boards, tag_scores
from flows.report.page import page_environment, put_page
from training.evaluation.results import ItemRecord

__all__ = ["render_board", "render_items", "write_leaderboard"]

# Of a prompt on the page; all of it is in the stored records.
_PROMPT_END = 1500
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def _items_name(checkpoint: Checkpoint, task: str) -> str:
    parts = (checkpoint.name, checkpoint.result.suite, f"step-{checkpoint.step}", task)
    return "-".join(_UNSAFE.sub("-", part).strip("-") for part in parts) + ".html"


def _stamp(made_at: datetime) -> str:
    return made_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _plots(board: Board, number: int) -> dict[str, Any]:
    # Matplotlib takes 1.4 s to import: a wrong path is answered without it.
    from flows.leaderboard import plots

    return {
        "tags": plots.plot_tags_by_tokens(board, f"tags-{number}"),
        "shots": plots.plot_shots(board, f"shots-{number}"),
        "tasks": plots.plot_tasks_by_tokens(board, f"tasks-{number}"),
    }


def render_board(boards: Sequence[Board], items_folder: str, pages: Collection[str], made_at: datetime) -> str:
    """The page of scores as HTML; the same facts and time give the same bytes.

    Args:
        boards: one a suite.
        items_folder: where the pages of items lie, relative to this one.
        pages: names of those that there are.
        made_at: time of making.
    """

    def items_url(checkpoint: Checkpoint, task: str) -> str:
        name = _items_name(checkpoint, task)
        return f"{items_folder}/{name}" if name in pages else ""

    return (
        page_environment("flows.leaderboard")
        .get_template("board.html")
        .render(
            boards=boards,
            plots=[_plots(board, number) for number, board in enumerate(boards)],
            tag_scores=tag_scores,
            items_url=items_url,
            made_at=_stamp(made_at),
        )
    )


def render_items(checkpoint: Checkpoint, task: str, records: Sequence[ItemRecord], made_at: datetime) -> str:
    """The items of one task, each with its prompt, answers and metrics, as HTML."""
    by_shots = {shots: list(own) for shots, own in groupby(records, key=lambda one: one.shots)}
    return (
        page_environment("flows.leaderboard")
        .get_template("items.html")
        .render(
            checkpoint=checkpoint,
            task=task,
            by_shots=by_shots,
            scores={score.shots: score for score in checkpoint.result.scores if score.task == task},
            prompt_end=_PROMPT_END,
            made_at=_stamp(made_at),
        )
    )


def write_leaderboard(runs: Sequence[str], out: str, suite: str | None = None) -> str:
    """Write the pages: `out`, and a folder beside it with the items of each run's newest checkpoint.

    Returns:
        Where the page lies.

    Raises:
        InputError: a folder is no run, or there are no scores.
        ManifestError: a run's description or its items are damaged.
        OutputError: a page cannot be written.
    """
    boards, now = read_boards(runs, suite), datetime.now(UTC)
    items_folder = out.removesuffix(".html") + "-items"
    pages = set()
    for board in boards:
        for checkpoint in board.newest:
            for task, records in groupby(checkpoint.records(), key=lambda one: one.task):
                page = render_items(checkpoint, task, list(records), now)
                name = _items_name(checkpoint, task)
                put_page(page, f"{items_folder}/{name}")
                pages.add(name)
    return put_page(render_board(boards, items_folder.rpartition("/")[2], pages, now), out)
