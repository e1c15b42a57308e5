"""What the leaderboard tells: the stored results of runs, by suite, checkpoint, task and number of shots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import InputError
from schemas.run import require_run
from schemas.storage import Folder
from training.evaluation.results import EvaluationResult, ItemRecord, Score, read_records, read_result, result_name
from training.loop.run_log import METRICS_NAME, read_log

__all__ = ["Board", "Checkpoint", "TagScore", "read_boards", "tag_scores"]


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a run with its scores on one suite; `tokens` is None where the run has no log of its steps."""

    run: str
    name: str
    tokens: int | None
    result: EvaluationResult

    @property
    def step(self) -> int:
        """The step of the checkpoint."""
        return self.result.step

    @property
    def label(self) -> str:
        """Run and step."""
        return f"{self.name} @ {self.step:,}"

    def score(self, task: str, shots: int) -> Score | None:
        """A score of this checkpoint."""
        return next((one for one in self.result.scores if (one.task, one.shots) == (task, shots)), None)

    def records(self) -> list[ItemRecord]:
        """What was measured on every item."""
        return list(read_records(Folder(self.run).child("scores"), result_name(self.result.suite, self.step)))


@dataclass(frozen=True)
class TagScore:
    """The mean over tasks of one tag, of scores on a scale from chance (0) to all right (1)."""

    tag: str
    value: float
    standard_error: float | None
    tasks: int


@dataclass(frozen=True)
class Board:
    """One suite: its checkpoints by run, then by step."""

    suite: str
    checkpoints: tuple[Checkpoint, ...]

    @property
    def newest(self) -> list[Checkpoint]:
        """The last checkpoint of each run."""
        return list({one.run: one for one in self.checkpoints}.values())

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Tasks and numbers of shots, in the order in which they were scored."""
        return list(dict.fromkeys((s.task, s.shots) for one in self.checkpoints for s in one.result.scores))

    @property
    def tags(self) -> list[str]:
        """Tags of all tasks, by name."""
        return sorted({tag for one in self.checkpoints for score in one.result.scores for tag in score.tags})

    def any_score(self, task: str, shots: int) -> Score:
        """The score of some checkpoint: for what is the same of all of them."""
        return next(found for one in self.checkpoints if (found := one.score(task, shots)) is not None)


def _centered(score: Score) -> tuple[float, float] | None:
    """A score and its standard error, on a scale from chance to all right; bits per byte have no such scale."""
    if score.value is None or score.kind == "perplexity":
        return None
    chance = score.chance or 0.0
    if chance >= 1:
        return None
    return (score.value - chance) / (1 - chance), (score.standard_error or 0.0) / (1 - chance)


def tag_scores(checkpoint: Checkpoint, tags: Sequence[str]) -> list[TagScore]:
    """The mean of each tag, each task by its most shots; tasks are taken as independent of each other."""
    most = {score.task: score for score in sorted(checkpoint.result.scores, key=lambda score: score.shots)}
    found = []
    for tag in tags:
        parts = [part for score in most.values() if tag in score.tags and (part := _centered(score)) is not None]
        if parts:
            error = math.sqrt(math.fsum(error**2 for _, error in parts)) / len(parts)
            found.append(TagScore(tag, math.fsum(value for value, _ in parts) / len(parts), error, len(parts)))
    return found


def _tokens_at(run: str) -> dict[int, int]:
    return {row["step"]: row["tokens"] for row in read_log(run, METRICS_NAME)}


def read_boards(runs: Sequence[str], suite: str | None = None) -> list[Board]:
    """The stored results of runs, by suite.

    Args:
        runs: folders of runs.
        suite: only this one.

    Raises:
        InputError: a folder is no run, or none of them has a result.
        ManifestError: the description of a run is damaged.
    """
    found: dict[str, list[Checkpoint]] = {}
    names = [run.rstrip("/").rpartition("/")[2] for run in runs]
    for run, short in zip(runs, names, strict=True):
        require_run(run)
        folder, tokens = Folder(run).child("scores"), _tokens_at(run)
        name = short if names.count(short) == 1 else run
        results = [read_result(folder, one.removesuffix(".json")) for one in folder.names() if one.endswith(".json")]
        for result in sorted((one for one in results if one is not None), key=lambda one: one.step):
            if suite is None or result.suite == suite:
                found.setdefault(result.suite, []).append(Checkpoint(run, name, tokens.get(result.step), result))
    if not found:
        wanted = f" on suite {suite}" if suite else ""
        raise InputError(f"no scores{wanted} in {', '.join(runs)}; run `corpusmill evaluate --run {runs[0]}` first")
    return [Board(name, tuple(found[name])) for name in sorted(found)]
