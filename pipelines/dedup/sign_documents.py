"""The Beam job that computes the signatures of one partition: List, Read, Compute, Group, Write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_output_types
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.dedup.minhash import Permutations, minhash, packed
from pipelines.dedup.shingles import shingle_sets
from pipelines.dedup.signed_files import DocumentFile
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine
from pipelines.engine.spill import BucketedSpill, NumberedRef
from pipelines.engine.write_parts import GroupAndWriteParts, PartWriter
from schemas.configs.dedup import SignatureConfig
from schemas.storage import Folder
from schemas.tables import SIGNATURES

__all__ = ["SignDocuments", "run_sign_documents", "sign_block", "spilled"]

# Documents of one block: 256 web pages are about 1 MB of text.
_BLOCK_ROWS = 256


def spilled(references: Sequence[Any]) -> Iterator[WindowedValue]:
    """What `finish_bundle` must emit for references that a spill gives back."""
    for reference in references:
        yield WindowedValue(reference, MIN_TIMESTAMP, (GlobalWindow(),))


def sign_block(documents: pa.Table, config: SignatureConfig, permutations: Permutations) -> pa.Table:
    """Rows of `signatures/` for documents (`document_id`, `content_hash`, `text`), in their order."""
    sets = shingle_sets(documents["text"].combine_chunks(), config.ngram, config.ngram_characters)
    values, set_hashes = minhash(sets, permutations)
    counts = pa.array(sets.counts.astype(np.int32))
    signatures = packed(values, sets.counts > 0)
    columns = [documents["document_id"], documents["content_hash"], counts, pa.array(set_hashes), signatures]
    return pa.Table.from_arrays(columns, schema=SIGNATURES)


@with_output_types(tuple[int, pa.Table])
class _ReadDocuments(beam.DoFn):
    def process(self, element: DocumentFile) -> Iterator[tuple[int, pa.Table]]:
        columns = ["document_id", "content_hash", "text"]
        with Folder(element.folder_url).open_read(element.name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_BLOCK_ROWS, columns=columns):
                yield element.number, pa.Table.from_batches([batch])


@with_output_types(NumberedRef)
class _ComputeSignatures(beam.DoFn):
    def __init__(self, config: SignatureConfig, work_url: str) -> None:
        self._config = config
        self._work_url = work_url

    def setup(self) -> None:
        self._permutations = Permutations.draw(self._config.permutations, self._config.seed)

    def start_bundle(self) -> None:
        self._spill = BucketedSpill(Folder(self._work_url).child("spill"))

    def process(self, element: tuple[int, pa.Table]) -> Iterator[NumberedRef]:
        number, documents = element
        yield from self._spill.add("signatures", number, sign_block(documents, self._config, self._permutations))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from spilled(self._spill.flush())


class SignDocuments(beam.PTransform):
    """Document files in; one part of `signatures/` per file, with receipts below the work folder."""

    def __init__(self, config: SignatureConfig, folder: Folder) -> None:
        super().__init__()
        self._config = config
        self._folder = folder

    def expand(self, files: Any) -> Any:
        """Compose the steps Read, Compute, Group and Write."""
        writer = PartWriter(self._folder, {"signatures": SIGNATURES}, {"signatures": ["document_id"]})
        return (
            files
            | "Read" >> beam.ParDo(_ReadDocuments())
            | "Compute" >> beam.ParDo(_ComputeSignatures(self._config, self._folder.url))
            | "Parts" >> GroupAndWriteParts(writer)
        )


def run_sign_documents(files: Sequence[DocumentFile], config: SignatureConfig, folder: Folder, engine: Engine) -> None:
    """Compute the signatures of the documents in `files` and leave them staged below `folder`."""

    def build(pipeline: beam.Pipeline) -> Any:
        listed = pipeline | "List" >> beam.Create(list(files), reshuffle=False) | "Spread" >> beam.Reshuffle()
        return listed | "Sign" >> SignDocuments(config, folder)

    run_pipeline(build, engine, "dedup-signatures", folder)
