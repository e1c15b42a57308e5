"""What is remembered of a step that was done: what it was done for, what it gave, what it cost.

A receipt lies in `<root>/steps/<step>.json`. Stages know by their manifests whether they are done, and their receipts
only tell time and memory; training, evaluation, fine-tuning and the report are skipped when the receipt is of the same
settings and inputs and what they wrote is still there.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.corpus_root import CorpusRoot
from schemas.storage import Folder

__all__ = ["Receipt", "read_receipt", "write_receipt"]

RECEIPT_VERSION = 1


class Receipt(BaseModel):
    """See the module's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = RECEIPT_VERSION
    step: str
    fingerprint: str = Field(description="of settings, inputs and program; empty where manifests say what is done")
    result: dict[str, Any] = Field(description="the JSON that the step printed")
    outputs: tuple[str, ...] = Field(default=(), description="folders and files that have to be there")
    seconds: float = Field(description="wall time of the process")
    peak_memory_bytes: int = Field(description="of all its processes together, sampled twice a second; 0 unknown")

    def outputs_are_there(self) -> bool:
        """Whether nothing of what the step wrote has been removed."""
        return all(Folder(output).exists() for output in self.outputs)


def read_receipt(root: CorpusRoot, step: str) -> Receipt | None:
    """The receipt of a step; None where there is none that this version can read, so that the step is done again."""
    folder = root.folder.child("steps")
    if not folder.exists(f"{step}.json"):
        return None
    try:
        receipt = Receipt.model_validate_json(folder.read(f"{step}.json"))
    except ValidationError:
        return None
    return receipt if receipt.schema_version == RECEIPT_VERSION else None


def write_receipt(root: CorpusRoot, receipt: Receipt) -> None:
    """Write a receipt, whole.

    Raises:
        OutputError: the corpus cannot be written.
    """
    data = receipt.model_dump_json(indent=1).encode("utf-8")
    root.folder.child("steps").put_whole(f"{receipt.step}.json", data)
