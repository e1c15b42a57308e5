"""Settings of exporting the model of a run."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.configs.base import StageConfig

__all__ = ["ExportConfig"]


class ExportConfig(StageConfig):
    """How a model is written for other programs."""

    stage: ClassVar[str] = "export"

    step: int | None = Field(default=None, title="Step", description="checkpoint to export; empty: the newest", ge=0)
    layout: Literal["auto", "gpt2", "corpusmill"] = Field(
        default="auto",
        title="Layout",
        description="gpt2: dense models, loaded without code of ours; corpusmill: any model, with its modeling file; "
        "auto: gpt2 where the model is dense",
    )
    precision: Literal["fp32", "bf16"] = Field(default="fp32", title="Precision", description="of the written weights")
    shard_bytes: int = Field(
        default=5_000_000_000,
        title="Shard size",
        description="bytes of a weights file, unless one tensor has more",
        ge=1,
    )
