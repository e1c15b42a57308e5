"""The settings that say which documents are held out, for every stage that asks."""

from __future__ import annotations

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig

__all__ = ["NAME_PATTERN", "PARTITION_PATTERN", "SplitShares"]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of artefacts that are folders or files of a corpus
PARTITION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"


class SplitShares(StageConfig):
    """Shares of documents, by content hash, that are kept from training; the same in all stages of one corpus."""

    test: float = Field(0.005, ge=0, lt=1, title="Test share", description="Share of documents held out for tests.")
    validation: float = Field(
        0.005, ge=0, lt=1, title="Validation share", description="Share of documents for validation during training."
    )

    @model_validator(mode="after")
    def _shares_leave_training_documents(self) -> SplitShares:
        if self.test + self.validation >= 1:
            raise ValueError("test + validation must be below 1, or no document is left to train on")
        return self
