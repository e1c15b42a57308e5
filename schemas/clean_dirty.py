"""Lists of clean and dirty evaluation items: `<root>/clean-dirty/<name>/<task>.jsonl`, a row an item.

An item is `dirty` when a kept document shares an n-gram with it and the n-gram is still there after the cuts, `removed`
when all such n-grams were cut out, and `clean` when no document has one (Brown et al. 2020, section 4 and appendix C,
call the first dirty and the others clean). An item with too few words to be looked for is `short`: nothing is known.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ContractError
from schemas.storage import Folder

__all__ = ["LISTS", "Evidence", "ItemOverlap", "list_name", "read_overlaps"]

LISTS = "clean-dirty"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Record):
    """One document that shares an n-gram with an item."""

    source: str
    partition: str
    document_id: str = Field(description="32 hexadecimal digits")
    ngram: str = Field(description="lower case, without punctuation")
    start: int = Field(description="code points in the document's text")
    end: int


class ItemOverlap(_Record):
    """What is known of one item."""

    id: str
    status: Literal["clean", "removed", "dirty", "short"]
    documents: int = Field(description="kept documents that share an n-gram with it")
    left: int = Field(description="of these, with one still there after the cuts")
    evidence: Evidence | None = None


def list_name(task: str) -> str:
    """File name of the list of one set."""
    return f"{task}.jsonl"


def read_overlaps(folder: Folder, task: str) -> dict[str, ItemOverlap] | None:
    """The items of a set by id; None where there is no list of it.

    Raises:
        ContractError: the list is damaged.
    """
    name = list_name(task)
    if not folder.exists(name):
        return None
    rows: dict[str, ItemOverlap] = {}
    for number, line in enumerate(folder.read(name).splitlines(), start=1):
        try:
            row = ItemOverlap.model_validate_json(line)
        except ValidationError as error:
            raise ContractError(
                f"{folder.url}/{name} line {number} is damaged: {error.errors()[0]['msg']}; "
                "remove the folder's manifest, then run decontaminate"
            ) from error
        rows[row.id] = row
    return rows
