"""The n-grams that are looked for as two files that workers map, and the search for them in texts.

Postings lie sorted by (words, hash). A search goes through three sieves: a table of bits for the first words that any
n-gram begins with, the sorted hashes, and the words themselves, so that no hash decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.decontamination.ngrams import MARKS, POSTINGS, TEXTS, NgramTables
from pipelines.decontamination.words import (
    WORD_BASE,
    Punctuation,
    hashed_words,
    ngram_hashes,
    normal_words,
)
from schemas.errors import ContractError
from schemas.storage import Folder

__all__ = ["POSTINGS_NAME", "TEXTS_NAME", "Lookup", "Match", "Posting", "write_lookup"]

POSTINGS_NAME, TEXTS_NAME = "postings.arrow", "texts.arrow"
_POSTING_COLUMNS = ("text", "position", "role")
_MASK = 2**64 - 1
# Sixteen entries for each posting let one in sixteen texts pass at most that begins as no n-gram does; from 2^26 on
# (64 MiB a worker) more would cost more memory than time.
_SIEVE_ENTRIES, _LEAST_BITS, _MOST_BITS = 16, 16, 26


class Match(NamedTuple):
    """An n-gram in a text: its words joined by spaces, and its place there in code points, end-exclusive."""

    ngram: str
    start: int
    end: int


class Posting(NamedTuple):
    """An n-gram in an item: the text that it stands in, its first word there, and what it is for."""

    item: int
    text: int
    position: int
    role: int


def write_lookup(folder: Folder, tables: NgramTables) -> None:
    """Write both files, uncompressed, so that a reader maps them and copies nothing.

    Raises:
        OutputError: the folder cannot be written.
    """
    for name, table in ((POSTINGS_NAME, tables.postings), (TEXTS_NAME, tables.texts)):
        with folder.open_write(name) as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table.combine_chunks())


def _open(folder: Folder, name: str, schema: pa.Schema) -> pa.RecordBatch:
    where = f"{folder.url}/{name}"
    try:
        buffer = pa.memory_map(folder.path(name)) if folder.is_local else pa.py_buffer(folder.read(name))
        table = pa.ipc.open_file(buffer).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(f"{where} cannot be read: {error}; remove its manifest, then run decontaminate") from error
    if table.schema != schema:
        raise ContractError(
            f"{where} has other columns than this program writes; remove its manifest, then run decontaminate"
        )
    return table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], schema=schema)


class Lookup:
    """All n-grams of the evaluation sets."""

    def __init__(self, folder: Folder, punctuation: Punctuation) -> None:
        """Map the files of a folder.

        Raises:
            ContractError: a file is missing or damaged.
        """
        self._punctuation = punctuation
        postings, self._texts = _open(folder, POSTINGS_NAME, POSTINGS), _open(folder, TEXTS_NAME, TEXTS)
        self._hashes = postings.column("hash").to_numpy()
        self._postings = postings
        words = postings.column("words").to_numpy()
        lengths = np.unique(words).tolist()
        edges = [(np.searchsorted(words, n, "left"), np.searchsorted(words, n, "right")) for n in lengths]
        self._ranges = {n: (int(low), int(high)) for n, (low, high) in zip(lengths, edges, strict=True)}
        entries = max(1, _SIEVE_ENTRIES * len(words)).bit_length()
        bits = min(max(entries, _LEAST_BITS), _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._sieve = np.zeros(1 << bits, dtype=bool)
        self._sieve[postings.column("prefix").to_numpy() >> self._shift] = True

    def _candidates(self, hashes: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """For each length of n-grams, the words at which a hash of that length says that one may begin."""
        if not self._ranges:
            return
        length = min(self._ranges)
        sums = ngram_hashes(hashes, length)
        at = np.flatnonzero(self._sieve[sums >> self._shift])
        sums = sums[at]
        factor = pow(WORD_BASE, length, _MASK + 1)
        for words in range(length, max(self._ranges) + 1):
            if words > length:
                room = at + words <= len(hashes)
                at, sums = at[room], sums[room]
                sums = sums + hashes[at + (words - 1)] * np.uint64(factor)
                factor = factor * WORD_BASE & _MASK
            if words in self._ranges:
                low, high = self._ranges[words]
                known = self._hashes[low:high]
                places = np.searchsorted(known, sums)
                places[places == len(known)] = 0
                yield words, at[known[places] == sums]

    def find(self, texts: Sequence[str]) -> list[list[Match]]:
        """The n-grams in each of some texts, by their place, then by their length."""
        joined = "\n".join(texts)
        edges = np.cumsum([0, *(len(text) + 1 for text in texts)])
        found = hashed_words(joined, self._punctuation)
        matches: list[list[Match]] = [[] for _ in texts]
        known: dict[str, bool] = {}
        for words, places in self._candidates(found.hashes):
            starts, ends = found.starts[places], found.ends[places + (words - 1)]
            numbers = np.searchsorted(edges, starts, "right") - 1
            inside = ends <= edges[numbers + 1]
            for number, start, end in zip(numbers[inside], starts[inside], ends[inside], strict=True):
                ngram = " ".join(normal_words(joined[start:end], self._punctuation))
                if ngram not in known:
                    known[ngram] = any(self._is(row, ngram, words) for row in self._rows_of(ngram, words))
                if known[ngram]:
                    offset = edges[number]
                    matches[number].append(Match(ngram, int(start - offset), int(end - offset)))
        for one in matches:
            one.sort(key=lambda match: (match.start, match.end))
        return matches

    def _rows_of(self, ngram: str, words: int) -> Iterator[int]:
        """The postings with the hash of an n-gram."""
        if words not in self._ranges:
            return
        low, high = self._ranges[words]
        (wanted,) = ngram_hashes(hashed_words(ngram).hashes, words)
        known = self._hashes[low:high]
        first, last = np.searchsorted(known, wanted, "left"), np.searchsorted(known, wanted, "right")
        yield from range(low + int(first), low + int(last))

    def _is(self, row: int, ngram: str, words: int) -> bool:
        text: str = self._texts.column("text")[self._postings.column("text")[row].as_py()].as_py()
        position: int = self._postings.column("position")[row].as_py()
        return text.split(" ")[position : position + words] == ngram.split(" ")

    def postings(self, ngram: str) -> list[Posting]:
        """Where an n-gram stands in the items; empty where it is in none."""
        words = ngram.count(" ") + 1
        found = []
        for row in self._rows_of(ngram, words):
            if self._is(row, ngram, words):
                text, position, role = (self._postings.column(name)[row].as_py() for name in _POSTING_COLUMNS)
                found.append(Posting(self._texts.column("item")[text].as_py(), text, position, role))
        return found

    def marked_items(self) -> frozenset[int]:
        """The items that have an n-gram by which they could be dirty; others have too few words."""
        marking = self._postings.column("role").to_numpy() & MARKS > 0
        texts = np.unique(self._postings.column("text").to_numpy()[marking])
        return frozenset(self._texts.column("item").to_numpy()[texts].tolist())

    def words_of_text(self, text: int) -> int:
        """Words of a text of an item."""
        return self._texts.column("words")[text].as_py()  # type: ignore[no-any-return]
