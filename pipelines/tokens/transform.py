"""The Beam graph of the tokenize stage: List, Read, Compute, Group, Cut, Write.

Tokens never travel: Compute writes them into temporary files and passes on where they are and how many. Group brings
these references of a split together, Cut says which of them make up which shard, and Write joins shards side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.typehints import with_output_types

from pipelines.decontamination.applied import AppliedCuts, read_cuts
from pipelines.engine.staging import StagedFile
from pipelines.engine.write_parts import write_receipt
from pipelines.tokens.encoded import INPUT_COLUMNS, EncodedBlock, encode_block, spill_block
from pipelines.tokens.encoding import TextEncoder
from pipelines.tokens.frozen import FrozenTokenizer
from pipelines.tokens.shard_files import StreamFacts, write_index, write_shard
from pipelines.tokens.stream import ShardCut, cut_stream
from schemas.catalog import read_table
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ContractError
from schemas.storage import Folder
from schemas.token_shard import token_table

__all__ = ["TokenizeDocuments", "TokenizeJob", "cut_shards"]

# Rows encoded together: a row group of a documents part, which holds 64 MiB of text or little more in all.
_BLOCK_ROWS = 4096


@dataclass(frozen=True, kw_only=True)
class TokenizeJob:
    """What the steps know: one partition, one tokenizer, and the unit's work folder."""

    root: CorpusRoot
    key: PartitionKey
    tokenizer: FrozenTokenizer
    config: TokenizeConfig
    folder: Folder
    encoder_path: str = "tokenizers"


class _Block(NamedTuple):
    part: int
    block: int
    rows: pa.Table


class _WriteTask(NamedTuple):
    """One file to write: a shard, or the index of all blocks where there is no cut."""

    split: str
    cut: ShardCut | None
    blocks: tuple[EncodedBlock, ...]


class _Read(beam.DoFn):
    """Part of the documents in, the pieces of its kept rows out, a row group at a time."""

    def __init__(self, job: TokenizeJob) -> None:
        self._job = job
        self._removed: frozenset[bytes] = frozenset()
        self._cuts = AppliedCuts({}, frozenset(), None)

    def setup(self) -> None:
        duplicates = read_table(self._job.root, "duplicates", self._job.key, ["removed_id"])
        self._removed = frozenset(duplicates.column("removed_id").to_pylist())
        self._cuts = read_cuts(self._job.root, self._job.key)

    def process(self, element: tuple[int, str]) -> Iterator[_Block]:
        part, name = element
        folder = self._job.root.partition_folder("documents", self._job.key)
        with folder.open_read(name) as stream:
            batches = pq.ParquetFile(stream).iter_batches(batch_size=_BLOCK_ROWS, columns=INPUT_COLUMNS)
            for block, batch in enumerate(batches):
                kept = [one not in self._removed for one in batch.column("document_id").to_pylist()]
                rows = self._cuts.applied(pa.Table.from_batches([batch]).filter(pa.array(kept, pa.bool_())))
                if rows.num_rows:
                    yield _Block(part, block, rows)


@with_output_types(tuple[str, EncodedBlock])
class _Compute(beam.DoFn):
    """A block of rows in; by split, where its tokens lie out."""

    def __init__(self, job: TokenizeJob) -> None:
        self._job = job
        self._encoder: TextEncoder | None = None

    def setup(self) -> None:
        self._encoder = self._job.tokenizer.encoder(self._job.encoder_path)

    def process(self, element: _Block) -> Iterator[tuple[str, EncodedBlock]]:
        assert self._encoder is not None  # Beam calls setup first
        config = self._job.config
        for encoded in encode_block(self._encoder, element.rows, config.test, config.validation):
            folder = self._job.folder.child("spill")
            yield encoded.split, spill_block(folder, element.part, element.block, encoded)


def cut_shards(split: str, blocks: Iterable[EncodedBlock], shard_tokens: int) -> Iterator[_WriteTask]:
    """Bring the blocks of a split into stream order and say what each file is written from.

    Raises:
        ContractError: the documents of two blocks overlap, so that there is no stream order.
    """
    ordered = sorted(blocks, key=lambda one: (one.part, one.block))
    for before, after in pairwise(ordered):
        if before.last_id >= after.first_id:
            raise ContractError("the parts of documents/ are not in the order of ids; run clean again")
    yield _WriteTask(split, None, tuple(ordered))
    for cut in cut_stream([one.tokens for one in ordered], shard_tokens):
        first, last = cut.slices[0].piece, cut.slices[-1].piece
        slices = tuple(one._replace(piece=one.piece - first) for one in cut.slices)
        yield _WriteTask(split, cut._replace(slices=slices), tuple(ordered[first : last + 1]))


class _Cut(beam.DoFn):
    """All blocks of a split in, one task for each file out."""

    def __init__(self, shard_tokens: int) -> None:
        self._shard_tokens = shard_tokens

    def process(self, element: tuple[str, Iterable[EncodedBlock]]) -> Iterator[_WriteTask]:
        split, blocks = element
        yield from cut_shards(split, blocks, self._shard_tokens)


class _Write(beam.DoFn):
    """A task in; the file written, with a receipt for the driver."""

    def __init__(self, job: TokenizeJob) -> None:
        self._job = job

    def process(self, element: _WriteTask) -> Iterator[tuple[str, StagedFile]]:
        table = token_table(self._job.tokenizer.name, element.split)
        folder = self._job.folder.child("staged", table)
        facts = StreamFacts(self._job.tokenizer, self._job.key, element.split)
        if element.cut is None:
            staged = write_index(folder, facts, element.blocks)
        else:
            staged = write_shard(folder, facts, element.cut, element.blocks)
        write_receipt(folder, staged)
        yield table, staged


class TokenizeDocuments(beam.PTransform):
    """Wires the steps; the input is the pipeline itself, the output what was written."""

    def __init__(self, job: TokenizeJob, parts: Sequence[str]) -> None:
        super().__init__()
        self._job = job
        self._parts = list(enumerate(parts))

    def expand(self, pipeline: Any) -> Any:
        """Compose the steps."""
        return (
            pipeline
            | "List" >> beam.Create(self._parts)
            | "Spread parts" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self._job))
            | "Compute" >> beam.ParDo(_Compute(self._job))
            | "Group" >> beam.GroupByKey()
            | "Cut" >> beam.ParDo(_Cut(self._job.config.shard_tokens))
            | "Spread files" >> beam.Reshuffle()
            | "Write" >> beam.ParDo(_Write(self._job))
        )
