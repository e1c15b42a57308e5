"""Bytes of remote files through blocks on a local disk, at most so many bytes of them.

A block is named after the digest of the shard that it is of, so a later run finds the blocks of an earlier one, and
another shard under the same path never meets them. The blocks that a batch needs are asked for together.
"""

from __future__ import annotations

import shutil
import threading
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp

from schemas.errors import ShardError
from schemas.storage import Folder

__all__ = ["BlockCache", "RemoteFile"]

# A window of 2,048 tokens is 4 KiB. Larger blocks spare requests where the corpus fits into the cache, and fetch more
# than is used where it does not.
_BLOCK_BYTES = 2**18
_CACHE_BYTES = 2**34


@dataclass(frozen=True)
class RemoteFile:
    """A file that never changes: where it lies, how long it is, and a digest to name its blocks by."""

    folder: Folder
    name: str
    size: int
    digest: str


class BlockCache:
    """Reads ranges of remote files; safe to share between threads.

    Args:
        folder: for the blocks; a temporary one that goes with the cache where none is given.
        limit_bytes: of blocks on disk; those used longest ago go first.
        block_bytes: of one block.

    Raises:
        ShardError: a file cannot be read, or is shorter than it was; the message names it.
    """

    def __init__(
        self, folder: str | None = None, limit_bytes: int = _CACHE_BYTES, block_bytes: int = _BLOCK_BYTES
    ) -> None:
        self._given = folder
        self._limit, self._block = max(limit_bytes, block_bytes), block_bytes
        self._lock = threading.Lock()
        there = sorted(Path(folder).glob("*.block") if folder else (), key=lambda path: path.stat().st_mtime)
        self._sizes: OrderedDict[str, int] = OrderedDict((path.name, path.stat().st_size) for path in there)
        self.fetched_bytes = 0
        with self._lock:
            self._trim(frozenset())

    @cached_property
    def _folder(self) -> Path:
        if self._given is None:
            temporary = mkdtemp(prefix="corpusmill-blocks-")
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
            return Path(temporary)
        Path(self._given).mkdir(parents=True, exist_ok=True)
        return Path(self._given)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the blocks on disk."""
        return sum(self._sizes.values())

    def _name(self, file: RemoteFile, block: int) -> str:
        return f"{file.digest[:32]}-{self._block}-{block}.block"

    def _blocks(self, start: int, stop: int) -> range:
        return range(start // self._block, -(-stop // self._block))

    def prepare(self, ranges: Iterable[tuple[RemoteFile, int, int]]) -> None:
        """Fetch what is missing of some ranges (file, first byte, one past the last), all requests at once."""
        wanted = {
            self._name(file, block): (file, block)
            for file, start, stop in ranges
            for block in self._blocks(start, stop)
        }
        with self._lock:
            missing = [known for name, known in wanted.items() if name not in self._sizes]
        by_folder: dict[Folder, list[tuple[RemoteFile, int]]] = {}
        for file, block in missing:
            by_folder.setdefault(file.folder, []).append((file, block))
        for folder, blocks in by_folder.items():
            self._fetch(folder, blocks, frozenset(wanted))

    def _fetch(self, folder: Folder, blocks: list[tuple[RemoteFile, int]], keep: frozenset[str]) -> None:
        filesystem, _ = folder.filesystem()
        starts = [block * self._block for _, block in blocks]
        stops = [min(start + self._block, file.size) for start, (file, _) in zip(starts, blocks, strict=True)]
        paths = [folder.path(file.name) for file, _ in blocks]
        found = filesystem.cat_ranges(paths, starts, stops, on_error="return")
        for (file, block), start, stop, data in zip(blocks, starts, stops, found, strict=True):
            if isinstance(data, Exception) or len(data) != stop - start:
                reason = data if isinstance(data, Exception) else f"{len(data)} bytes instead of {stop - start}"
                raise ShardError(
                    f"{folder.url}/{file.name} cannot be read from byte {start} on: {reason}; see that it is there "
                    "as it was planned, then go on"
                )
            self._store(self._name(file, block), bytes(data), keep)

    def _store(self, name: str, data: bytes, keep: frozenset[str]) -> None:
        temporary = self._folder / f"{name}.{uuid.uuid4().hex}"
        temporary.write_bytes(data)
        temporary.replace(self._folder / name)
        with self._lock:
            self._sizes[name] = len(data)
            self.fetched_bytes += len(data)
            self._trim(keep)

    def _trim(self, keep: frozenset[str]) -> None:
        """Drop the blocks used longest ago, but none that the batch at hand needs."""
        over = self.stored_bytes - self._limit if len(self._sizes) > 1 else 0
        for name in [name for name in self._sizes if name not in keep] if over > 0 else ():
            over -= self._sizes.pop(name)
            (self._folder / name).unlink(missing_ok=True)
            if over <= 0:
                return

    def _block_bytes(self, file: RemoteFile, block: int) -> bytes:
        name = self._name(file, block)
        for _ in range(3):
            try:
                data = (self._folder / name).read_bytes()
            except FileNotFoundError:  # another thread made room since
                with self._lock:
                    self._sizes.pop(name, None)
                self.prepare([(file, block * self._block, block * self._block + 1)])
                continue
            with self._lock:
                if name in self._sizes:
                    self._sizes.move_to_end(name)
            return data
        raise ShardError(
            f"{file.folder.url}/{file.name}: its blocks in {self._folder} go as fast as they come; give the cache "
            "more bytes"
        )

    def read(self, file: RemoteFile, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file."""
        first = start // self._block * self._block
        data = b"".join(self._block_bytes(file, block) for block in self._blocks(start, stop))
        return data[start - first : stop - first]
