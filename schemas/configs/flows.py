"""Parameters of the Prefect flows: one flat model a flow, so that the UI draws a form that the server can check.

What the stages do is said in one TOML file with a table for each stage; the forms hold what differs between runs. Only
facts of JSON Schema are checked before a run exists, so bounds are written as such, and a text that may be left out is
empty rather than null: the form of the UI draws a union as a choice between types.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from schemas.configs.flow_fields import FlowParameters, MaybePlace, Place, RunnerParameters, at
from schemas.configs.split import NAME_PATTERN, PARTITION_PATTERN

__all__ = [
    "CorpusBuildParameters",
    "EvaluateParameters",
    "FinetuneParameters",
    "PipelineParameters",
    "PretrainParameters",
    "WatchSnapshotsParameters",
]

_SNAPSHOT_PATTERN = r"^(CC-MAIN-\d{4}(-\d{2,4})?)?$"
_NAME_RULE = "Letters, digits, '.', '_' and '-', starting with a letter or digit."

# Where pages come from is one of three fields: the same rule as `_one_origin`, for the server.
_ONE_ORIGIN: dict[str, Any] = {
    "if": {"properties": {"seed_urls": {"maxItems": 0}, "common_crawl": {"maxLength": 0}}},
    "then": {"properties": {"inputs": {"minItems": 1}}, "required": ["inputs"]},
    "else": {
        "properties": {"inputs": {"maxItems": 0}},
        "if": {"properties": {"seed_urls": {"minItems": 1}}, "required": ["seed_urls"]},
        "then": {"properties": {"common_crawl": {"maxLength": 0}}},
    },
}


class _BuildParameters(RunnerParameters):
    source: str = Field(
        title="Source",
        description=f"Name of the source that is added to. {_NAME_RULE}",
        pattern=NAME_PATTERN,
        json_schema_extra=at(1),
    )
    evaluations: tuple[Place, ...] = Field(
        default=(),
        title="Evaluation files",
        description="Evaluation sets whose texts are cut out of documents; none: those in the settings, if any.",
        json_schema_extra=at(20),
    )
    small_corpus: Literal["fail", "leave out"] = Field(
        default="fail",
        title="Small corpus",
        description="When a step cannot work because too little text was kept: fail, or leave the step out.",
        json_schema_extra=at(30),
    )


class CorpusBuildParameters(_BuildParameters):
    """From web pages or raw files to token shards and a mixture."""

    model_config = ConfigDict(json_schema_extra=_ONE_ORIGIN)

    partition: str = Field(
        title="Partition",
        description="Name of the partition of the source that is made: such names joined by '/', as in 2026-07 or "
        "CC-MAIN-2026-30/00012.",
        pattern=PARTITION_PATTERN,
        json_schema_extra=at(2),
    )
    inputs: tuple[Place, ...] = Field(
        default=(),
        title="Inputs",
        description="Files, folders and URLs of files to read. Pages come from here, from a crawl or from Common "
        "Crawl: fill in one of the three.",
        json_schema_extra=at(3),
    )
    seed_urls: tuple[Place, ...] = Field(
        default=(), title="Seed URLs", description="Where a crawl starts, in place of inputs.", json_schema_extra=at(4)
    )
    common_crawl: MaybePlace = Field(
        default="",
        title="Common Crawl",
        description="Base URL of Common Crawl, such as https://data.commoncrawl.org/, in place of inputs; the "
        "partition's name says which files of which snapshot.",
        json_schema_extra=at(5),
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if bool(self.seed_urls) + bool(self.inputs) + bool(self.common_crawl) != 1:
            raise ValueError("give one of inputs to read, seed_urls to crawl, or common_crawl")
        return self


class PretrainParameters(FlowParameters):
    """Training a model on a mixture."""

    mixture: str = Field(
        title="Mixture",
        description=f"Name of a mixture plan of the corpus. {_NAME_RULE}",
        pattern=NAME_PATTERN,
        json_schema_extra=at(1),
    )
    run: MaybePlace = Field(
        default="",
        title="Run",
        description="Folder of the run; empty: below runs/ of the corpus, named after plan and settings.",
        json_schema_extra=at(2),
    )


class EvaluateParameters(FlowParameters):
    """Scoring a trained model on a suite of tasks."""

    run: Place = Field(title="Run", description="Folder of the run.", json_schema_extra=at(1))
    suite: Place = Field(title="Suite", description="File of the suite, TOML.", json_schema_extra=at(2))


class FinetuneParameters(FlowParameters):
    """Going on with a trained model on prompts and answers."""

    run: Place = Field(title="Run", description="Folder of the run to start from.", json_schema_extra=at(1))
    data: Place = Field(
        title="Training pairs", description='JSONL, one {"prompt", "answer"} a line.', json_schema_extra=at(2)
    )
    test: MaybePlace = Field(
        default="",
        title="Test pairs",
        description="JSONL of pairs that are answered before and after; empty: none.",
        json_schema_extra=at(3),
    )
    validation: MaybePlace = Field(
        default="",
        title="Validation pairs",
        description="JSONL of pairs whose loss is taken on the way; the best weights are kept. Empty: none.",
        json_schema_extra=at(4),
    )
    suite: MaybePlace = Field(
        default="",
        title="Suite",
        description="File of tasks that are scored before and after, TOML; empty: none.",
        json_schema_extra=at(5),
    )
    out: MaybePlace = Field(
        default="",
        title="New run",
        description="Folder of the new run; empty: below runs/ of the corpus, named after what it comes from.",
        json_schema_extra=at(6),
    )


class PipelineParameters(CorpusBuildParameters):
    """The whole chain: corpus, pretraining, evaluation, fine-tuning, report."""

    report: MaybePlace = Field(
        default="",
        title="Report",
        description="File of the report; empty: report.html in the corpus.",
        json_schema_extra=at(82),
    )


class WatchSnapshotsParameters(_BuildParameters):
    """Looking for new snapshots of Common Crawl, and building what is missing of them."""

    source: str = Field(
        default="common_crawl",
        title="Source",
        description=f"Name of the source that snapshots are added to. {_NAME_RULE}",
        pattern=NAME_PATTERN,
        json_schema_extra=at(1),
    )
    slices: int = Field(
        default=1,
        ge=1,
        le=10_000,
        title="Slices of a snapshot",
        description="How many partitions are made of each snapshot, from the start of its listing.",
        json_schema_extra=at(2),
    )
    files: int = Field(
        default=1,
        ge=1,
        le=1000,
        title="Files of a slice",
        description="How many WARC files of about 1 GB make a partition.",
        json_schema_extra=at(3),
    )
    first_snapshot: str = Field(
        default="",
        pattern=_SNAPSHOT_PATTERN,
        title="First snapshot",
        description="The oldest that is built, such as CC-MAIN-2026-30; empty: the oldest that the corpus has, and in "
        "an empty corpus the newest there is.",
        json_schema_extra=at(4),
    )
    index_url: Place = Field(
        default="https://index.commoncrawl.org/",
        title="Index",
        description="URL below which collinfo.json lists the snapshots.",
        json_schema_extra=at(5),
    )
    base_url: Place = Field(
        default="https://data.commoncrawl.org/",
        title="Data",
        description="URL below which crawl-data/ lies: of Common Crawl or of a mirror.",
        json_schema_extra=at(6),
    )
