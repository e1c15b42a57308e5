"""The flow `run-stage`: one stage on one partition, which is what backfills are made of."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows.backfill.grid import markdown
from flows.backfill.ledger import Ledger
from flows.backfill.one_unit import perform_unit
from flows.backfill.plan import make_plan
from flows.backfill.requests import Asked
from flows.steps import LOGGER
from schemas.configs.run_stage import StageParameters
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.ledger import Backfill

__all__ = ["run_stage"]

# A plan of more takes longer than a run should wait for a picture; `corpusmill backfill status` draws any number.
_MOST_PARTITIONS = 2000


def _asked(parameters: StageParameters) -> Asked:
    """The backfill that the run belongs to; where it belongs to none, one of this partition alone."""
    root = CorpusRoot(parameters.root)
    known = Ledger(root).backfill(parameters.backfill) if parameters.backfill else None
    if known is None:
        given = parameters.model_dump(exclude={"root", "partition", "backfill"})
        given |= {"config": given["config"] or None, "workers": given["workers"] or None}
        given["seed"] = given["seed"] if given["seed"] >= 0 else None
        if parameters.stage == "tokenizer":  # a part of the chain, and of no partition
            given |= {"stage": "corpus", "overrides": [f"tokenizer.{one}" for one in parameters.overrides]}
        known = Backfill(**given, partitions=parameters.partition)
    return Asked(root, known)


@flow(name="run-stage", flow_run_name="{parameters.stage} {parameters.source}/{parameters.partition}")
def run_stage(parameters: StageParameters) -> dict[str, Any]:
    """Do one stage on one partition, unless it is done."""
    asked = _asked(parameters)
    unit = (parameters.stage, PartitionKey(parameters.source, parameters.partition))
    try:
        return perform_unit(asked, unit, str(flow_run.id or ""), LOGGER.info)
    finally:
        _show_grid(asked)


def _show_grid(asked: Asked) -> None:
    """Publish the grid of the backfill, as it stands after this run."""
    if len(asked.keys) <= _MOST_PARTITIONS:
        key = f"backfill-{asked.backfill.identity()}"
        create_markdown_artifact(markdown(make_plan(asked)), key=key, description="Partition and stage")
