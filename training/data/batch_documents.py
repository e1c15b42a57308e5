"""Which documents the samples of a batch are made of, from the indexes that a plan pins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from schemas.corpus_root import CorpusRoot
from schemas.errors import ShardError
from schemas.mixture import MixturePlan, SourceStream
from training.data.document_starts import open_index
from training.data.order import Samples

__all__ = ["BatchDocument", "batch_documents"]

Integers = NDArray[np.int64]


class BatchDocument(BaseModel):
    """A document in a batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document_id: str = Field(description="32 hexadecimal digits")
    source: str
    partition: str
    url: str | None
    tokens: int = Field(description="of it in the batch")


def _rows_of(index: pq.ParquetFile, rows: Integers) -> pa.Table:
    """Some rows of an index, ascending; row groups without any are not read."""
    sizes = [index.metadata.row_group(group).num_rows for group in range(index.metadata.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = np.unique(np.searchsorted(ends, rows, side="right"))
    firsts = ends[groups] - np.array(sizes)[groups]
    before = np.cumsum([0, *(sizes[group] for group in groups)])[:-1]
    place = np.searchsorted(groups, np.searchsorted(ends, rows, side="right"))
    table = index.read_row_groups(groups.tolist(), columns=["document_id", "url"])
    return table.take(pa.array(rows - firsts[place] + before[place]))


def _tokens_by_row(starts: Integers, lengths: Integers, spans: Integers) -> tuple[Integers, Integers]:
    """Rows of an index that lie in some spans (N, 2) of its stream, and how many tokens of them do."""
    tokens = np.zeros(len(starts), dtype=np.int64)
    for low, high in spans.tolist():
        first = max(0, int(np.searchsorted(starts, low, side="right")) - 1)
        rows = slice(first, int(np.searchsorted(starts, high, side="left")))
        inside = np.minimum(starts[rows] + lengths[rows], high) - np.maximum(starts[rows], low)
        tokens[rows] += np.maximum(inside, 0)
    met = np.flatnonzero(tokens)
    return met, tokens[met]


def _of_stream(root: CorpusRoot, plan: MixturePlan, stream: SourceStream, windows: Integers) -> Iterator[BatchDocument]:
    begins = windows * plan.sequence_length
    spans = np.stack([begins, begins + plan.sequence_length + 1], axis=1)  # the last label is one further
    first = 0
    for pinned in stream.indexes:
        mine = spans[(spans[:, 0] < first + pinned.tokens) & (spans[:, 1] > first)] - first
        first += pinned.tokens
        if not len(mine):
            continue
        index, header = open_index(root, pinned, plan)
        columns = index.read(columns=["start", "length"])
        starts, lengths = (columns.column(name).to_numpy().astype(np.int64) for name in ("start", "length"))
        rows, tokens = _tokens_by_row(starts, lengths, mine)
        for row, count in zip(_rows_of(index, rows).to_pylist(), tokens.tolist(), strict=True):
            yield BatchDocument(
                document_id=row["document_id"].hex(),
                source=header.source,
                partition=header.partition,
                url=row["url"],
                tokens=count,
            )


def batch_documents(root: CorpusRoot, plan: MixturePlan, samples: Samples) -> list[BatchDocument]:
    """The documents behind the inputs and labels of some samples, those with most tokens there first.

    An index is known by its header alone: reading it through for its checksum would cost a partition's index for
    every window of a batch.

    Raises:
        ShardError: an index is missing, or another one than the plan pins; or the plan pins none.
    """
    found: dict[tuple[str, str, str], BatchDocument] = {}
    for number, stream in enumerate(plan.train):
        windows = samples.windows[samples.sources == number]
        if len(windows) and not stream.indexes:
            raise ShardError(f"mixture {plan.name} pins no index of {stream.source}; run `corpusmill run mix` again")
        for one in _of_stream(root, plan, stream, windows) if len(windows) else ():
            key = (one.source, one.partition, one.document_id)
            before = found[key].tokens if key in found else 0
            found[key] = one.model_copy(update={"tokens": one.tokens + before})
    return sorted(found.values(), key=lambda one: (-one.tokens, one.document_id, one.partition))
