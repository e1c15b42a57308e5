"""Band keys of earlier partitions as an index: which of their documents can meet a document of a new one.

`bands/` of a partition is written with its edges. A later partition does not read the signatures before it: it makes a
filter of its own keys and takes from the index the keys that pass, with the ids of their documents. The filter is
Bloom's (1970), with three hash functions: a key that is not among the new ones passes once in 200 times or less, and
meets nobody later on. Where memory allows fewer bits a key, more of them pass: with four, one in seven.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.dedup.banding import band_keys
from pipelines.dedup.minhash import unpacked
from pipelines.dedup.pair_blocks import KEYED, keyed_rows
from pipelines.dedup.signed_files import SignedFile
from schemas.catalog import manifest_of
from schemas.configs.dedup import Banding, EdgeConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.storage import Folder
from schemas.tables import BANDS

__all__ = ["KeyFilter", "band_rows", "indexed_files", "keys_of", "looked_up", "own_keys"]

U64 = NDArray[np.uint64]

_BITS_PER_KEY = 16
# Odd, for multiplicative hashing (Knuth 6.4): the golden ratio's bits, and two primes of xxHash64.
_SPREADS = tuple(np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x9FB21C651E98DF25))
_BLOCK_ROWS = 4096
_KEYS_AT_ONCE = 2**14  # arrays of 128 KiB stay in a core's cache: 0.15 microseconds for 18 keys in place of 0.45


def _places(keys: U64, bits: NDArray[np.uint8], spread: np.uint64) -> tuple[U64, NDArray[np.uint8]]:
    """The byte of each key, and its bit in it."""
    width = (8 * len(bits)).bit_length() - 1
    places = (keys * spread) >> np.uint64(64 - width)
    return places >> np.uint64(3), (places & np.uint64(7)).astype(np.uint8)


@dataclass(frozen=True)
class KeyFilter:
    """Says of a key that it is not among some keys, or may be; `bits` are a power of two, eight to a byte."""

    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, count: int, keys: Iterable[U64], most_bytes: int) -> KeyFilter:
        """The filter of keys that come in arrays, `count` of them in all; it takes `most_bytes` at most."""
        wanted = 1 << max(0, (count * _BITS_PER_KEY // 8).bit_length())
        bits = np.zeros(min(wanted, 1 << most_bytes.bit_length() - 1), dtype=np.uint8)
        for some in keys:
            for spread in _SPREADS:
                byte, bit = _places(some, bits, spread)
                np.bitwise_or.at(bits, byte, np.uint8(1) << bit)
        return cls(bits)

    def that_may_be(self, keys: U64) -> NDArray[np.intp]:
        """Places of the keys that may be among them."""
        found = [np.empty(0, dtype=np.intp)]
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            left = np.arange(start, min(start + _KEYS_AT_ONCE, len(keys)))
            for spread in _SPREADS:
                byte, bit = _places(keys[left], self.bits, spread)
                left = left[(self.bits[byte] >> bit & 1).astype(bool)]
            found.append(left)
        return np.concatenate(found)

    def to_bytes(self) -> bytes:
        """For `from_bytes`."""
        return self.bits.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyFilter:
        """What `to_bytes` gave."""
        return cls(np.frombuffer(data, dtype=np.uint8))


def keys_of(signatures: pa.Table, banding: Banding) -> U64:
    """The band keys of rows of `signatures/` of at least one shingle each; shape (rows, bands)."""
    return band_keys(unpacked(signatures["signature"].combine_chunks()), banding)


def band_rows(signatures: pa.Table, banding: Banding) -> pa.Table:
    """Rows of `bands/`."""
    keys = keys_of(signatures, banding).astype("<u8")
    raw = pa.py_buffer(keys.tobytes())
    ends = pa.py_buffer(np.arange(len(keys) + 1, dtype=np.int64) * keys.shape[1] * 8)
    packed = pa.Array.from_buffers(pa.large_binary(), len(keys), [None, ends, raw])
    return pa.Table.from_arrays([*(signatures[name] for name in KEYED), packed], schema=BANDS)


def own_keys(files: Sequence[SignedFile], banding: Banding) -> Iterator[U64]:
    """The band keys of signed files, in arrays."""
    for file in files:
        with Folder(file.folder_url).open_read(file.name) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(_BLOCK_ROWS, columns=["shingles", "signature"]):
                table = pa.Table.from_batches([batch])
                table = table.filter(pa.array(table["shingles"].to_numpy() > 0))
                if table.num_rows:
                    yield keys_of(table, banding).reshape(-1)


def looked_up(file: SignedFile, keys: KeyFilter, bands: int) -> Iterator[pa.Table]:
    """From the index of a file, the keys that pass the filter: rows of `BAND_KEYS`."""
    with Folder(file.bands_url).open_arrow(file.name) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(_BLOCK_ROWS, use_threads=False):
            if not len(batch):
                continue
            raw = unpacked(batch.column("keys")).reshape(-1)
            places = keys.that_may_be(raw)
            if len(places):
                documents = pa.Table.from_batches([batch.select(KEYED)]).take(pa.array(places // bands))
                yield keyed_rows(raw[places], file.number, documents)


def indexed_files(
    root: CorpusRoot, files: Sequence[SignedFile], position: int, config: EdgeConfig, version: int
) -> tuple[SignedFile, ...]:
    """Signed files, those of partitions before `position` with the place of their index where it holds.

    It holds where the edges of the partition were found under the same settings from the signatures that are there
    now. A file of an indexed partition without a single shingle has no index and is left out; files get new numbers.
    """
    found: list[SignedFile] = []
    usable: dict[PartitionKey, frozenset[str] | None] = {}
    for file in files:
        if file.order < position:
            if file.key not in usable:
                usable[file.key] = _index_of(root, file.key, config, version)
            names = usable[file.key]
            if names is not None:
                if file.name in names:
                    found.append(replace(file, bands_url=root.partition_folder("bands", file.key).url))
                continue
        found.append(file)
    return tuple(replace(file, number=number) for number, file in enumerate(found))


def _index_of(root: CorpusRoot, key: PartitionKey, config: EdgeConfig, version: int) -> frozenset[str] | None:
    """Names of the files of the index of a partition; None where it does not hold."""
    edges, signatures = (manifest_of(root, table, key) for table in ("edges", "signatures"))
    if edges is None or signatures is None or "bands" not in edges.tables:
        return None
    made_of = {record.name: record.digest for record in edges.inputs}
    if (edges.config, edges.stage_version) != (config.fingerprint_view(), version):
        return None
    if made_of.get(f"signatures/{key}") != signatures.tables["signatures"].digest:
        return None
    return frozenset(file.name for file in edges.tables["bands"].files)
