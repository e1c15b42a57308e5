"""Everything that the report tells, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flows.receipts import Receipt
from flows.report.costs import Costs, read_costs, read_receipts
from flows.report.duplicates import Duplicates, read_duplicates
from flows.report.funnel import Funnel, read_funnel
from flows.report.token_facts import TokenFacts, TokenizerFacts, read_token_facts, read_tokenizers
from flows.report.training_facts import Finetuning, TrainingRun, read_finetuning, read_training
from schemas.corpus_manifests import CorpusManifests
from schemas.corpus_root import CorpusRoot
from schemas.errors import InputError
from training.evaluation.results import Score

__all__ = ["ReportFacts", "read_facts"]

_CRAWL_COUNTS = ("pages", "bytes", "redirects", "robots_denied", "errors")


@dataclass(frozen=True)
class ReportFacts:
    """What a corpus and its runs say of themselves; None, or empty, where there is nothing yet."""

    root: str
    manifests: CorpusManifests
    receipts: dict[str, Receipt]
    funnel: Funnel | None
    duplicates: Duplicates | None
    tokenizers: tuple[TokenizerFacts, ...]
    tokens: tuple[TokenFacts, ...]
    run: TrainingRun | None
    finetuning: Finetuning | None

    @cached_property
    def costs(self) -> Costs:
        """Time and memory."""
        return read_costs(self.receipts, self.manifests, self.run, self.finetuning)

    @property
    def digest(self) -> str | None:
        """The corpus digest, where a flow has taken it."""
        receipt = self.receipts.get("digest")
        return str(receipt.result["digest"]) if receipt and "digest" in receipt.result else None

    @property
    def crawl(self) -> dict[str, int]:
        """Counts of all crawls together."""
        return {name: self.manifests.count("crawl", name) for name in _CRAWL_COUNTS}

    @property
    def evaluation_sets(self) -> list[dict[str, Any]]:
        """How many items of each evaluation set are clean, removed and dirty, by set; empty before decontamination."""
        rows = [row for unit in self.manifests.of("decontaminate-lists") for row in unit.notes["sets"]]
        return sorted(rows, key=lambda row: str(row["task"]))

    @property
    def task_scores(self) -> list[Score]:
        """Scores of tasks with items, those left out that had none."""
        scores = self.run.scores if self.run else []
        return [score for score in scores if score.kind != "perplexity" and score.value is not None]


def read_facts(root_url: str, run: str | None = None, finetune_run: str | None = None) -> ReportFacts:
    """Read a corpus and, where given, a training run and a fine-tuning run; what is not there yet is left out.

    Raises:
        InputError: there is no corpus at this place.
        ManifestError: a manifest or a run's description is damaged.
    """
    root = CorpusRoot(root_url)
    manifests = CorpusManifests.read(root)
    if not manifests.units:
        raise InputError(f"no corpus in {root_url}: no stage has finished there; give the folder of a corpus")
    return ReportFacts(
        root=root_url,
        manifests=manifests,
        receipts=read_receipts(root),
        funnel=read_funnel(manifests),
        duplicates=read_duplicates(root),
        tokenizers=read_tokenizers(manifests),
        tokens=read_token_facts(manifests),
        run=read_training(run),
        finetuning=read_finetuning(finetune_run),
    )
