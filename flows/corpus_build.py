"""The flow `corpus-build`: from web pages or raw files to token shards, a mixture and held-out tasks."""

from __future__ import annotations

from prefect import flow

from flows.artifacts.marks import partition_tag, run_tag
from flows.artifacts.progress import show_progress
from flows.artifacts.publish import add_tags
from flows.chain import CORPUS_STAGES
from flows.steps import StepResult, leave_out
from flows.tasks import run_stage, show_partition, take_digest
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
    """Make one partition of a source, from its raw form to token shards, and plan a mixture of the whole corpus.

    Args:
        parameters: What is built, and from what. Only Corpus, Source, Partition and one origin of pages are needed.
    """
    stages = planned_stages(parameters)
    about = f"{parameters.source}/{parameters.partition}"
    add_tags(partition_tag(parameters.source, parameters.partition), run_tag(parameters, parameters.config))
    results: list[StepResult] = []
    missing = ""
    with show_progress("corpus-build", about, [*stages, "digest"]):
        for stage in stages:
            if missing:
                results.append(leave_out(stage, f"there is no {missing}"))
                continue
            results.append(run_stage(stage, parameters))
            if results[-1].status == "left out":
                missing = f"result of {stage}"
        show_partition(parameters)
        results.append(take_digest(parameters.root))
    return results
