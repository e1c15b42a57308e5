"""The flow `corpus-build`: from web pages or raw files to token shards, a mixture and held-out tasks."""

from __future__ import annotations

from prefect import flow

from flows.chain import CORPUS_STAGES
from flows.steps import StepResult, leave_out
from flows.tasks import run_stage, take_digest
from schemas.configs.base import load_config
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.configs.flows import CorpusBuildParameters

__all__ = ["corpus_build", "planned_stages"]


def planned_stages(parameters: CorpusBuildParameters) -> list[str]:
    """The stages that the flow goes through: no crawl with inputs of one's own, no decontamination without sets."""
    needless = set() if parameters.seed_urls else {"crawl"}
    if not (parameters.evaluations or load_config(DecontaminateConfig, parameters.config).evaluations):
        needless.add("decontaminate")
    return [stage for stage in CORPUS_STAGES if stage not in needless]


@flow(name="corpus-build", flow_run_name="corpus-build {parameters.source}/{parameters.partition}")
def corpus_build(parameters: CorpusBuildParameters) -> list[StepResult]:
    """Make one partition of a source, from its raw form to token shards, and plan a mixture of the whole corpus."""
    results: list[StepResult] = []
    missing = ""
    for stage in planned_stages(parameters):
        if missing:
            results.append(leave_out(stage, f"there is no {missing}"))
            continue
        results.append(run_stage(stage, parameters))
        if results[-1].status == "left out":
            missing = f"result of {stage}"
    results.append(take_digest(parameters.root))
    return results
