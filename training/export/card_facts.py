"""What a model card tells, read from a run, the runs that it came from, and the manifests of its corpus."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.configs.model import ModelConfig
from schemas.corpus_manifests import CorpusManifests
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError, ManifestError
from schemas.mixture import MixturePlan, read_mixture
from schemas.run import RunConfig, checkpoint_folder, read_run
from schemas.storage import Folder
from training.checkpoints.files import read_state
from training.evaluation.results import EvaluationResult, read_result
from training.loop.run_log import METRICS_NAME, read_log

__all__ = ["CardFacts", "RunFacts", "SourceFacts", "read_facts"]

_FINETUNE_RESULT = "finetune.json"


@dataclass(frozen=True)
class RunFacts:
    """One run up to the checkpoint that was taken; `rows` are those of its metrics."""

    name: str
    config: RunConfig
    step: int
    tokens: int
    rows: tuple[dict[str, Any], ...]
    results: tuple[EvaluationResult, ...]
    finetune: dict[str, Any] | None

    @property
    def seconds(self) -> float:
        """In optimizer steps."""
        return float(sum(row["seconds"] for row in self.rows))


@dataclass(frozen=True)
class SourceFacts:
    """One source of the mixture; `seen` tokens of it were trained on, as the shares of the plan say."""

    name: str
    documents: int
    tokens: int
    weight: float
    seen: float
    epochs: float


@dataclass(frozen=True)
class CardFacts:
    """All of it; `runs` are the exported one, then the one it came from, and so on, as far as they are at hand."""

    model: ModelConfig
    layout: str
    runs: tuple[RunFacts, ...]
    plan: MixturePlan | None
    corpus: CorpusManifests | None

    @property
    def first(self) -> RunFacts:
        """The earliest run: the pretraining, where it is at hand."""
        return self.runs[-1]

    def sources(self) -> tuple[SourceFacts, ...]:
        """The sources of the plan, in its order."""
        if self.plan is None:
            return ()
        samples: dict[str, int] = {}
        for phase in self.plan.phases:
            for share in phase.shares:
                samples[share.source] = samples.get(share.source, 0) + share.samples
        total, trained = sum(samples.values()), self.first.tokens if self.first.config.kind == "train" else 0
        return tuple(
            SourceFacts(
                name=stream.source,
                documents=stream.documents,
                tokens=stream.tokens,
                weight=samples.get(stream.source, 0) / total,
                seen=trained * samples.get(stream.source, 0) / total,
                epochs=trained * samples.get(stream.source, 0) / total / max(1, stream.tokens),
            )
            for stream in self.plan.train
        )


def _read_run(run: str, step: int) -> RunFacts | None:
    config = read_run(run)
    if config is None:
        return None
    scores = Folder(run).child("scores")
    names = [name for name in scores.names() if name.endswith(f"-step-{step}.json")] if scores.exists() else []
    found = (read_result(scores, name.removesuffix(".json")) for name in sorted(names))
    folder, result = checkpoint_folder(run, step), Path(run) / _FINETUNE_RESULT
    return RunFacts(
        name=Path(run).name,
        config=config,
        step=step,
        tokens=read_state(folder).tokens if folder.is_dir() else 0,
        rows=tuple(row for row in read_log(run, METRICS_NAME) if row["step"] <= step),
        results=tuple(one for one in found if one is not None),
        finetune=json.loads(result.read_text(encoding="utf-8")) if result.is_file() else None,
    )


def _corpus(config: RunConfig) -> tuple[MixturePlan | None, CorpusManifests | None]:
    """The plan and the manifests of a run's corpus; None where they are not at hand, or of another corpus by now."""
    if not config.mixture:
        return None, None
    root = CorpusRoot(config.root)
    try:
        plan = read_mixture(root.mixture_folder(), config.mixture)
        return (plan, CorpusManifests.read(root)) if plan.digest() == config.plan_digest else (None, None)
    except (InputError, ManifestError):
        return None, None


def read_facts(run: str, step: int, layout: str) -> CardFacts:
    """All that is at hand about the model of a run at one of its checkpoints.

    Raises:
        InputError: there is no run in this folder.
        ManifestError: a run's description is damaged.
    """
    runs: list[RunFacts] = []
    where: str | None = run
    while where is not None:
        facts = _read_run(where, step)
        if facts is None:
            break
        runs.append(facts)
        where, step = facts.config.base, int(facts.config.settings.get("base_step", 0))
    if not runs:
        raise InputError(f"no training run in {run}; give the folder of a run")
    plan, corpus = _corpus(runs[0].config)
    return CardFacts(model=runs[0].config.model, layout=layout, runs=tuple(runs), plan=plan, corpus=corpus)
