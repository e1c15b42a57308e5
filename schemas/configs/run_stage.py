"""Parameters of the flow `run-stage`: one stage on one partition, which is what backfills are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.split import NAME_PATTERN, PARTITION_PATTERN

__all__ = ["StageParameters"]

_Text = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]


def _at(position: int) -> dict[str, Any]:
    return {"position": position}


class StageParameters(BaseModel):
    """One stage on one partition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: _Text = Field(
        title="Corpus",
        description="Folder or fsspec URL of the corpus, as the worker sees it.",
        json_schema_extra=_at(0),
    )
    stage: Literal["crawl", "clean", "dedup", "decontaminate", "tokenizer", "tokenize"] = Field(
        title="Stage",
        description="What is done; tokenizer works on the whole corpus.",
        json_schema_extra=_at(1),
    )
    source: str = Field(
        title="Source", description="Name of the source.", pattern=NAME_PATTERN, json_schema_extra=_at(2)
    )
    partition: str = Field(
        title="Partition",
        description="Name of the partition of the source; of the tokenizer where the stage is that.",
        pattern=PARTITION_PATTERN,
        json_schema_extra=_at(3),
    )
    inputs: tuple[_Text, ...] = Field(
        default=(),
        title="Inputs",
        description="clean: files and folders to read; {source} and {partition} stand for these names.",
        json_schema_extra=_at(10),
    )
    seed_urls: tuple[_Text, ...] = Field(
        default=(), title="Seed URLs", description="crawl: where it starts.", json_schema_extra=_at(11)
    )
    evaluations: tuple[_Text, ...] = Field(
        default=(),
        title="Evaluation files",
        description="decontaminate: evaluation sets whose texts are cut out of documents.",
        json_schema_extra=_at(12),
    )
    overrides: tuple[_Text, ...] = Field(
        default=(),
        title="Single settings",
        description="key=value, each over what the settings file says.",
        json_schema_extra=_at(20),
    )
    config: str = Field(
        default="",
        pattern=r"^(\S.*\.toml)?$",
        title="Settings",
        description="A TOML file with a table for each stage; empty: every setting at its default.",
        json_schema_extra=_at(21),
    )
    seed: int = Field(
        default=-1,
        ge=-1,
        title="Seed",
        description="Enters every draw of the stage, if it draws anything; -1: as the settings say.",
        json_schema_extra=_at(22),
    )
    runner: Literal["local", "flink", "dataflow"] = Field(
        default="local",
        title="Runner",
        description="Where Beam stages run: on this machine, on the Flink cluster that is up, or on Dataflow.",
        json_schema_extra=_at(40),
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=4096,
        title="Workers",
        description="Worker processes of a Beam stage, slots of Flink, or machines of Dataflow; 0: all there are.",
        json_schema_extra=_at(41),
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        title="Attempts",
        description="How often a partition is tried, where trying again can help, before it is set aside.",
        json_schema_extra=_at(50),
    )
    retry_seconds: int = Field(
        default=5,
        ge=0,
        le=3600,
        title="Seconds before a retry",
        description="Before the first one; twice as long before each other.",
        json_schema_extra=_at(51),
    )
    backfill: str = Field(
        default="",
        pattern=r"^[0-9a-f]*$",
        title="Backfill",
        description="Id of the backfill that this run belongs to; empty: none.",
        json_schema_extra=_at(60),
    )
