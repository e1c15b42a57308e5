"""Every stage of `corpusmill run`, by name; nothing of a stage is imported before it is asked for."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from pipelines.engine.stage import StageRequest, StageResult
from schemas.configs.base import StageConfig
from schemas.errors import ConfigError, UserError

__all__ = ["STAGES", "StageEntry", "stage_entry"]


@dataclass(frozen=True, kw_only=True)
class StageEntry:
    """One stage: where its settings and its code lie, and what it does in a few words."""

    name: str
    summary: str
    config: str  # module:class
    module: str  # has run(request) and pending(request)

    def config_class(self) -> type[StageConfig]:
        """The class of its settings."""
        module, _, name = self.config.partition(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]

    def run(self, request: StageRequest[Any]) -> StageResult:
        """Do what is not done yet.

        Raises:
            CorpusmillError: what the stage raises.
        """
        return importlib.import_module(self.module).run(request)  # type: ignore[no-any-return]

    def is_done(self, request: StageRequest[Any]) -> bool:
        """Whether `run` would find every unit done; imports no Beam. Where its inputs are not there yet: no."""
        try:
            return importlib.import_module(self.module).pending(request) == 0  # type: ignore[no-any-return]
        except UserError:
            return False


_ENTRIES = (
    StageEntry(
        name="crawl",
        summary="fetch web pages into WARC files",
        config="schemas.configs.crawl:CrawlConfig",
        module="pipelines.crawl.stage",
    ),
    StageEntry(
        name="clean",
        summary="turn raw files into documents, with a reason for each one dropped",
        config="schemas.configs.clean:CleanConfig",
        module="pipelines.cleaning.stage",
    ),
    StageEntry(
        name="dedup",
        summary="decide which documents repeat others, exactly or nearly",
        config="schemas.configs.dedup:DedupConfig",
        module="pipelines.dedup.stage",
    ),
    StageEntry(
        name="decontaminate",
        summary="find texts of evaluation sets in documents, and cut them out",
        config="schemas.configs.decontaminate:DecontaminateConfig",
        module="pipelines.decontamination.stage",
    ),
    StageEntry(
        name="tokenizer",
        summary="train the byte-level BPE on a sample of kept documents",
        config="schemas.configs.tokenizer:TokenizerConfig",
        module="pipelines.tokens.tokenizer_stage",
    ),
    StageEntry(
        name="tokenize",
        summary="write kept documents as token shards, by split",
        config="schemas.configs.tokenize:TokenizeConfig",
        module="pipelines.tokens.tokenize_stage",
    ),
    StageEntry(
        name="mix",
        summary="plan which windows of which sources a training run sees",
        config="schemas.configs.mix:MixConfig",
        module="pipelines.tokens.mix_stage",
    ),
    StageEntry(
        name="heldout",
        summary="cut evaluation tasks and fine-tuning pairs from documents",
        config="schemas.configs.heldout:HeldoutConfig",
        module="pipelines.heldout.stage",
    ),
    StageEntry(
        name="quality",
        summary="train the classifier that tells trusted text from raw crawl",
        config="schemas.configs.quality:QualityConfig",
        module="pipelines.quality.stage",
    ),
)

STAGES: dict[str, StageEntry] = {entry.name: entry for entry in _ENTRIES}


def stage_entry(name: str) -> StageEntry:
    """The stage of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in STAGES:
        raise ConfigError(f"no stage {name!r}; stages are {', '.join(STAGES)}")
    return STAGES[name]
