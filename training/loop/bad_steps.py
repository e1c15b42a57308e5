"""What was wrong with a step, what was done about it, and the documents in its batch: `<run>/bad_steps.jsonl`.

Rows are added in the order in which it happened. Those of a rollback stay, though the run went on from before them; a
row that a resumed run comes to again is not added twice.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.storage import Folder
from training.data.batch_documents import BatchDocument

__all__ = ["BAD_STEPS_NAME", "Action", "BadStep", "append_bad_step", "read_bad_steps"]

BAD_STEPS_NAME = "bad_steps.jsonl"
Action = Literal["report", "stop", "skip", "rollback"]

_DONE: dict[str, str] = {
    "report": "it was trained on",
    "stop": "the weights were kept, and the run was stopped",
    "skip": "the weights were kept, and the next batch was taken",
    "rollback": "the run went back to its last checkpoint and leaves these samples out",
}
_NAMED = 3  # documents that a message names


class BadStep(BaseModel):
    """One row of `bad_steps.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    finding: str = Field(description="`not finite`, or the numbers that made it a spike")
    action: Action
    loss: float | None = Field(description="None where it is not finite")
    gradient_norm: float | None
    windows: str = Field(description="the samples by name")
    documents: list[BatchDocument] = Field(description="of the batch, those with most tokens first")
    documents_unknown: str = Field(default="", description="why there are none")

    def message(self) -> str:
        """What happened, as a sentence for people."""
        named = [f"{one.source}/{one.partition} {one.url or one.document_id}" for one in self.documents[:_NAMED]]
        more = len(self.documents) - len(named)
        names = ", ".join([*named, *([f"{more} more"] if more > 0 else [])])
        return f"step {self.step}: {self.finding}; {_DONE[self.action]}. In its batch: {names or self.windows}"


def read_bad_steps(run: str) -> list[BadStep]:
    """The bad steps of a run, in the order in which they happened; a half-written last line counts as not written."""
    folder = Folder(run)
    if not folder.exists(BAD_STEPS_NAME):
        return []
    *lines, _ = folder.read(BAD_STEPS_NAME).decode("utf-8").split("\n")
    return [BadStep.model_validate(json.loads(line)) for line in lines]


def append_bad_step(run: str, row: BadStep) -> None:
    """Add a row, if it is not there.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = read_bad_steps(run)
    if row not in rows:
        content = "".join(one.model_dump_json() + "\n" for one in [*rows, row])
        Folder(run).put_whole(BAD_STEPS_NAME, content.encode("utf-8"))
