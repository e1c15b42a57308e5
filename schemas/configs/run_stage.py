"""Parameters of the flow `run-stage`: one stage on one partition, which is what backfills are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.configs.flow_fields import Place, RunnerParameters, at
from schemas.configs.split import NAME_PATTERN, PARTITION_PATTERN

__all__ = ["StageParameters"]


class StageParameters(RunnerParameters):
    """One stage on one partition."""

    stage: Literal["crawl", "clean", "dedup", "decontaminate", "tokenizer", "tokenize"] = Field(
        title="Stage",
        description="What is done; tokenizer works on the whole corpus.",
        json_schema_extra=at(1),
    )
    source: str = Field(
        title="Source", description="Name of the source.", pattern=NAME_PATTERN, json_schema_extra=at(2)
    )
    partition: str = Field(
        title="Partition",
        description="Name of the partition of the source; of the tokenizer where the stage is that.",
        pattern=PARTITION_PATTERN,
        json_schema_extra=at(3),
    )
    inputs: tuple[Place, ...] = Field(
        default=(),
        title="Inputs",
        description="clean: files and folders to read; {source} and {partition} stand for these names.",
        json_schema_extra=at(10),
    )
    seed_urls: tuple[Place, ...] = Field(
        default=(), title="Seed URLs", description="crawl: where it starts.", json_schema_extra=at(11)
    )
    evaluations: tuple[Place, ...] = Field(
        default=(),
        title="Evaluation files",
        description="decontaminate: evaluation sets whose texts are cut out of documents.",
        json_schema_extra=at(12),
    )
    overrides: tuple[Place, ...] = Field(
        default=(),
        title="Single settings",
        description="key=value, each over what the settings file says.",
        json_schema_extra=at(20),
    )
    seed: int = Field(
        default=-1,
        ge=-1,
        title="Seed",
        description="Enters every draw of the stage, if it draws anything; -1: as the settings say.",
        json_schema_extra=at(21),
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=100,
        title="Attempts",
        description="How often a partition is tried, where trying again can help, before it is set aside.",
        json_schema_extra=at(50),
    )
    retry_seconds: int = Field(
        default=5,
        ge=0,
        le=3600,
        title="Seconds before a retry",
        description="Before the first one; twice as long before each other.",
        json_schema_extra=at(51),
    )
    backfill: str = Field(
        default="",
        pattern=r"^[0-9a-f]*$",
        title="Backfill",
        description="Id of the backfill that this run belongs to; empty: none.",
        json_schema_extra=at(60),
    )
