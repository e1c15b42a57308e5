"""The flow `pipeline`: the whole chain, from a crawl to an evaluated, fine-tuned model and a report."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.artifacts.marks import partition_tag, run_tag
from flows.artifacts.progress import show_progress
from flows.artifacts.publish import add_tags
from flows.chain import CORPUS_STAGES
from flows.corpus_build import corpus_build, planned_stages
from flows.evaluate import evaluate
from flows.finetune import finetune
from flows.pretrain import pretrain
from flows.steps import LOGGER, StepResult, leave_out
from flows.tasks import write_report
from schemas.configs.flows import (
    CorpusBuildParameters,
    EvaluateParameters,
    FinetuneParameters,
    PipelineParameters,
    PretrainParameters,
)
from schemas.storage import join_url

__all__ = ["pipeline", "planned_steps"]

_MODEL_STEPS = ("pretrain", "evaluate", "finetune")


def planned_steps(parameters: CorpusBuildParameters) -> list[str]:
    """The names of all steps of the flow, in order."""
    return [*planned_stages(parameters), "digest", *_MODEL_STEPS, "report"]


def _corpus_part(parameters: PipelineParameters) -> CorpusBuildParameters:
    return CorpusBuildParameters(**parameters.model_dump(include=set(CorpusBuildParameters.model_fields)))


def _heldout_part(parameters: PipelineParameters, heldout: StepResult) -> tuple[str, dict[str, int]]:
    """The folder of the suite and the pairs, and how many of what is in it."""
    unit = heldout.result["units"][0]
    return join_url(parameters.root, "heldout", unit["source"]), unit["counts"]


def _model_part(
    parameters: PipelineParameters, mixture: str, heldout: str, counts: dict[str, int]
) -> tuple[list[StepResult], str, str]:
    """Train, evaluate, fine-tune; gives the folders of the two runs too."""
    about: dict[str, Any] = {"root": parameters.root, "config": parameters.config}
    trained, run = pretrain(PretrainParameters(**about, mixture=mixture))
    about["run"] = run
    scored = evaluate(EvaluateParameters(**about, suite=join_url(heldout, "suite.toml")))
    if not counts["pairs_train"] and parameters.small_corpus == "leave out":
        return [trained, scored, leave_out("finetune", "no pair could be cut from the training documents")], run, ""
    test = join_url(heldout, "pairs-test.jsonl") if counts["pairs_test"] else ""
    tuned, out = finetune(FinetuneParameters(**about, data=join_url(heldout, "pairs-train.jsonl"), test=test))
    return [trained, scored, tuned], run, out


def _whole_chain(parameters: PipelineParameters) -> list[StepResult]:
    results = corpus_build(_corpus_part(parameters))
    by_name = {result.step: result for result in results}
    run = finetuned = ""
    if any(by_name[stage].status == "left out" for stage in CORPUS_STAGES if stage in by_name):
        results = results + [leave_out(step, "there is nothing to train on") for step in _MODEL_STEPS]
    else:
        mixture = by_name["mix"].result["units"][0]["partition"]
        done, run, finetuned = _model_part(parameters, mixture, *_heldout_part(parameters, by_name["heldout"]))
        results = results + done
    report = parameters.report or join_url(parameters.root, "report.html")
    return [*results, write_report(parameters.root, run, finetuned, report)]


@flow(name="pipeline", flow_run_name="pipeline {parameters.source}/{parameters.partition}")
def pipeline(parameters: PipelineParameters) -> list[StepResult]:
    """The whole chain for one partition of a source.

    Args:
        parameters: What is built, and from what; the model and its training are in the settings.
    """
    steps = planned_steps(parameters)
    LOGGER.info("planned", extra={"event": "plan", "steps": steps})
    add_tags(partition_tag(parameters.source, parameters.partition), run_tag(parameters, parameters.config))
    with show_progress("pipeline", f"{parameters.source}/{parameters.partition}", steps):
        return _whole_chain(parameters)
