"""Applying decisions: what of the documents of a partition stays after its `contaminated/` rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.decontamination.cuts import CutRules, Span, kept_pieces
from schemas.catalog import iterate_table, manifest_of
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, fingerprint

__all__ = ["AppliedCuts", "cut_record", "read_cuts"]


@dataclass(frozen=True)
class AppliedCuts:
    """The decisions about one partition.

    Attributes:
        ngrams: by document, the places of the n-grams that are cut out.
        dropped: documents that go as a whole.
        rules: how to cut; None where nothing is cut.
    """

    ngrams: Mapping[bytes, list[tuple[int, int]]]
    dropped: frozenset[bytes]
    rules: CutRules | None

    def pieces(self, document_id: bytes, characters: int) -> list[Span]:
        """What stays of a document of so many characters, in order."""
        if document_id in self.dropped:
            return []
        if self.rules is None or document_id not in self.ngrams:
            return [Span(0, characters)]
        return kept_pieces(characters, self.ngrams[document_id], self.rules)

    def applied(self, rows: pa.Table) -> pa.Table:
        """Documents with a column `piece` (int32) more, one row for each piece; all other columns are repeated.

        Args:
            rows: `document_id`, `text` and any other columns.
        """
        touched = self.dropped or self.ngrams
        pieces = pa.array([0] * rows.num_rows, pa.int32())
        if not touched:
            return rows.append_column("piece", pieces)
        places, numbers, texts = [], [], []
        identities, whole = rows.column("document_id").to_pylist(), rows.column("text").to_pylist()
        for place, (identity, text) in enumerate(zip(identities, whole, strict=True)):
            for number, span in enumerate(self.pieces(identity, len(text))):
                places.append(place)
                numbers.append(number)
                texts.append(text[span.start : span.end])
        column = rows.schema.get_field_index("text")
        taken = rows.drop_columns(["text"]).take(pa.array(places, pa.int64()))
        taken = taken.add_column(column, rows.schema.field(column), pa.array(texts, rows.schema.field(column).type))
        return taken.append_column("piece", pa.array(numbers, pa.int32()))


def read_cuts(root: CorpusRoot, key: PartitionKey) -> AppliedCuts:
    """The decisions about a partition; where there are none, every document stays as it is."""
    manifest = manifest_of(root, "contaminated", key)
    ngrams: defaultdict[bytes, set[tuple[int, int]]] = defaultdict(set)
    dropped: set[bytes] = set()
    for table in iterate_table(root, "contaminated", key, ["document_id", "start", "end", "action"]):
        gone = table.filter(pc.equal(table["action"], "drop"))
        dropped.update(gone.column("document_id").to_pylist())
        cut = table.filter(pc.equal(table["action"], "cut"))
        columns = (cut.column(name).to_pylist() for name in ("document_id", "start", "end"))
        for identity, start, end in zip(*columns, strict=True):
            ngrams[identity].add((start, end))
    places = {identity: sorted(found) for identity, found in ngrams.items()}
    return AppliedCuts(places, frozenset(dropped), CutRules.of(manifest.config) if manifest and places else None)


def cut_record(root: CorpusRoot, key: PartitionKey) -> InputRecord | None:
    """What a stage that applies the decisions records as its input; None where nothing is cut and nothing goes."""
    manifest = manifest_of(root, "contaminated", key)
    if manifest is None or not (manifest.counts["cut_documents"] or manifest.counts["dropped_documents"]):
        return None
    content = {"rows": manifest.tables["contaminated"].digest, "rules": list(CutRules.of(manifest.config))}
    return InputRecord(name=f"contaminated/{key}", digest=fingerprint(content))
