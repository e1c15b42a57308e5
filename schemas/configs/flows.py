"""Parameters of the Prefect flows: one flat model a flow, so that the UI draws a form that the server can check.

What the stages do is said in one TOML file with a table for each stage; the forms hold what differs between runs.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.configs.split import NAME_PATTERN

__all__ = [
    "CorpusBuildParameters",
    "EvaluateParameters",
    "FinetuneParameters",
    "PipelineParameters",
    "PretrainParameters",
]

_Text = Annotated[str, Field(min_length=1)]
_PARTITION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    root: _Text = Field(
        title="Corpus", description="Folder or fsspec URL of the corpus.", json_schema_extra={"position": 0}
    )
    config: str | None = Field(
        default=None,
        title="Settings",
        description="A TOML file with a table for each stage; empty: every setting at its default.",
        json_schema_extra={"position": 90},
    )


class CorpusBuildParameters(_Parameters):
    """From web pages or raw files to token shards and a mixture."""

    source: str = Field(
        title="Source",
        description="Name of the source that is added to.",
        pattern=NAME_PATTERN,
        json_schema_extra={"position": 1},
    )
    partition: str = Field(
        title="Partition",
        description="Name of the partition of the source that is made.",
        pattern=_PARTITION_PATTERN,
        json_schema_extra={"position": 2},
    )
    seed_urls: tuple[_Text, ...] = Field(
        default=(),
        title="Seed URLs",
        description="Where a crawl starts; or give inputs.",
        json_schema_extra={"position": 3},
    )
    inputs: tuple[_Text, ...] = Field(
        default=(),
        title="Inputs",
        description="Files and folders to read; or give seed URLs.",
        json_schema_extra={"position": 4},
    )
    evaluations: tuple[_Text, ...] = Field(
        default=(),
        title="Evaluation files",
        description="Evaluation sets whose texts are cut out of documents; empty: those in the settings, if any.",
        json_schema_extra={"position": 5},
    )
    runner: Literal["local", "flink", "dataflow"] = Field(
        default="local",
        title="Runner",
        description="Where Beam stages run: on this machine, on the Flink cluster that is up, or on Dataflow.",
        json_schema_extra={"position": 79},
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        title="Workers",
        description="Worker processes of a Beam stage, or slots of Flink; empty: all there are.",
        json_schema_extra={"position": 80},
    )
    small_corpus: Literal["fail", "leave out"] = Field(
        default="fail",
        title="Small corpus",
        description="When a step cannot work because too little text was kept: fail, or leave the step out.",
        json_schema_extra={"position": 81},
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if bool(self.seed_urls) == bool(self.inputs):
            raise ValueError("give seed_urls to crawl, or inputs to read, and not both")
        return self


class PretrainParameters(_Parameters):
    """Training a model on a mixture."""

    mixture: str = Field(
        title="Mixture",
        description="Name of a mixture plan of the corpus.",
        pattern=NAME_PATTERN,
        json_schema_extra={"position": 1},
    )
    run: str | None = Field(
        default=None,
        title="Run",
        description="Folder of the run; empty: below runs/ of the corpus, named after plan and settings.",
        json_schema_extra={"position": 2},
    )


class EvaluateParameters(_Parameters):
    """Scoring a trained model on a suite of tasks."""

    run: _Text = Field(title="Run", description="Folder of the run.", json_schema_extra={"position": 1})
    suite: _Text = Field(title="Suite", description="File of the suite, TOML.", json_schema_extra={"position": 2})


class FinetuneParameters(_Parameters):
    """Going on with a trained model on prompts and answers."""

    run: _Text = Field(title="Run", description="Folder of the run to start from.", json_schema_extra={"position": 1})
    data: _Text = Field(
        title="Training pairs",
        description='JSONL, one {"prompt", "answer"} a line.',
        json_schema_extra={"position": 2},
    )
    test: str | None = Field(
        default=None,
        title="Test pairs",
        description="JSONL of pairs that are answered before and after; empty: none.",
        json_schema_extra={"position": 3},
    )
    out: str | None = Field(
        default=None,
        title="New run",
        description="Folder of the new run; empty: below runs/ of the corpus, named after what it comes from.",
        json_schema_extra={"position": 4},
    )


class PipelineParameters(CorpusBuildParameters):
    """The whole chain: corpus, pretraining, evaluation, fine-tuning, report."""

    report: str | None = Field(
        default=None,
        title="Report",
        description="File of the report; empty: report.html in the corpus.",
        json_schema_extra={"position": 82},
    )
