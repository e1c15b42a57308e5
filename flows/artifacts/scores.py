"""Scores of a model as tables: of an evaluation, and of pairs before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flows.artifacts.publish import artifact_key, publish_table
from flows.report.numbers import as_count, as_estimate, as_metric, as_number, as_shots

__all__ = ["change_rows", "publish_changes", "publish_scores", "score_rows"]


def _maybe(value: float | None) -> str:
    return "–" if value is None else as_number(value)


def score_rows(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row for each task and number of shots."""
    return [
        {
            "task": score["task"],
            "shots": "–" if score["kind"] == "perplexity" else as_shots(score["shots"]),
            "metric": as_metric(score["metric"]),
            "score": as_estimate(score["value"], score["standard_error"]),
            "untrained": as_estimate(score["untrained"], score["untrained_standard_error"]),
            "chance": _maybe(score["chance"]),
            "items": as_count(score["n"]),
        }
        for score in scores
    ]


def change_rows(changes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row for each metric on the test pairs."""
    return [
        {
            "metric": as_metric(name),
            **{
                when: as_estimate(one[when]["value"], one[when]["standard_error"])
                for when in ("before", "after", "change")
            },
        }
        for name, one in changes.items()
    ]


def publish_scores(run: str, scores: Sequence[Mapping[str, Any]]) -> None:
    """Show the scores of a run in the flow run that goes on."""
    name = run.rstrip("/").rpartition("/")[2]
    publish_table(artifact_key("scores", name), score_rows(scores), f"{run}: {len(scores)} scores")


def publish_changes(run: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Show in the flow run that goes on what fine-tuning changed."""
    name = run.rstrip("/").rpartition("/")[2]
    publish_table(artifact_key("changes", name), change_rows(changes), f"{run}: before and after fine-tuning")
