"""Time and memory of every step that left a record of them."""

from __future__ import annotations

from dataclasses import dataclass

from flows.receipts import Receipt, read_receipt
from flows.report.training_facts import Finetuning, TrainingRun
from schemas.corpus_manifests import CorpusManifests
from schemas.corpus_root import CorpusRoot

__all__ = ["Cost", "Costs", "read_costs", "read_receipts"]

# The order in which the chain runs; other steps come after these, by name.
_CHAIN = (
    "crawl",
    "clean",
    "dedup-signatures",
    "dedup-edges",
    "dedup",
    "decontaminate-items",
    "decontaminate-ngrams",
    "decontaminate-overlaps",
    "decontaminate",
    "decontaminate-lists",
    "tokenizer",
    "tokenize",
    "mix",
    "heldout",
    "digest",
    "pretrain",
    "evaluate",
    "finetune",
)
# The step that writes the page: what is known of it is of an earlier page, if anything.
_ITSELF = "report"


@dataclass(frozen=True)
class Cost:
    """One step; None where nobody measured its memory."""

    step: str
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True)
class Costs:
    """All steps in the order of the chain, and what their figures mean."""

    steps: tuple[Cost, ...]
    seconds_of: str
    memory_of: str

    @property
    def seconds(self) -> float:
        """Of all steps together."""
        return sum(step.seconds for step in self.steps)


def read_receipts(root: CorpusRoot) -> dict[str, Receipt]:
    """The receipts of the steps of a flow, by step; none where the stages were run one by one."""
    names = (name.removesuffix(".json") for name in root.folder.child("steps").names() if name.endswith(".json"))
    return {name: receipt for name in names if (receipt := read_receipt(root, name)) is not None}


def _in_order(costs: list[Cost]) -> tuple[Cost, ...]:
    rank = {name: place for place, name in enumerate(_CHAIN)}
    return tuple(sorted(costs, key=lambda cost: (rank.get(cost.step, len(rank)), cost.step)))


def _measured_by_stages(
    manifests: CorpusManifests, run: TrainingRun | None, finetuning: Finetuning | None
) -> list[Cost]:
    costs = []
    for stage in {unit.stage for unit in manifests.units}:
        units = manifests.of(stage)
        peak = max(unit.peak_rss_bytes for unit in units)
        costs.append(Cost(stage, sum(unit.seconds for unit in units), peak or None))
    if run is not None and run.steps:
        costs.append(Cost("pretrain", run.seconds, None))
    if run is not None and run.results:
        costs.append(Cost("evaluate", sum(result.seconds for result in run.results), None))
    if finetuning is not None:
        costs.append(Cost("finetune", finetuning.facts["seconds"], None))
    return costs


def read_costs(
    receipts: dict[str, Receipt],
    manifests: CorpusManifests,
    run: TrainingRun | None,
    finetuning: Finetuning | None,
) -> Costs:
    """What a flow measured from outside; where no flow ran, what the stages say of themselves."""
    if receipts:
        steps = ((name, one) for name, one in receipts.items() if name != _ITSELF)
        costs = [Cost(name, one.seconds, one.peak_memory_bytes or None) for name, one in steps]
        return Costs(_in_order(costs), "wall time of the process, its start included", "all processes together")
    costs = _measured_by_stages(manifests, run, finetuning)
    return Costs(_in_order(costs), "work of all partitions, added up", "largest single process")
