"""Bytes of remote files through blocks on a local disk, at most so many bytes of them.

A block is named after the digest of the shard that it is of, so a later run finds the blocks of an earlier one, and
another shard under the same path never meets them. The blocks that a batch needs are asked for together, those that
follow each other in one request.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir

from schemas.errors import OutputError, ShardError
from schemas.storage import Folder
from training.data.own_folder import make_own_folder

__all__ = ["BlockCache", "RemoteFile"]

# A window of 2,048 tokens is 4 KiB. Larger blocks spare requests where the corpus fits into the cache, and fetch more
# than is used where it does not.
_BLOCK_BYTES = 2**18
_CACHE_BYTES = 2**34
_REQUEST_BYTES = 2**24  # at most: in memory at once where a file is read through


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
        block_bytes: of one block; a multiple of 8.

    Raises:
        ShardError: a file cannot be read, or is shorter than it was; the message names it.
        OutputError: a block cannot be written.
    """

    def __init__(
        self, folder: str | None = None, limit_bytes: int = _CACHE_BYTES, block_bytes: int = _BLOCK_BYTES
    ) -> None:
        self._given = folder
        self._limit, self._block = max(limit_bytes, block_bytes), block_bytes
        self._lock = threading.Lock()
        there = sorted(Path(folder).glob("*.block") if folder else (), key=lambda path: path.stat().st_mtime)
        self._sizes: OrderedDict[str, int] = OrderedDict((path.name, path.stat().st_size) for path in there)
        self.stored_bytes = sum(self._sizes.values())  # of the blocks on disk
        self.fetched_bytes = 0
        with self._lock:
            self._trim(frozenset())

    @cached_property
    def _unfinished(self) -> Path:
        """Where blocks are written before they have their names: nobody else's, so that none is left of a kill."""
        parent = Path(self._given or gettempdir())
        return make_own_folder(parent, "writing-" if self._given else "corpusmill-blocks-", self)

    @property
    def _folder(self) -> Path:
        return Path(self._given) if self._given else self._unfinished

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
        for file, block, data in self._fetch(missing):
            self._store(self._name(file, block), data, frozenset(wanted))

    def read_through(self, file: RemoteFile, start: int, stop: int) -> Iterator[bytes]:
        """Bytes `start` to `stop` of a file in order, in pieces that end where blocks do, each asked for once.

        Blocks that are here are read here. Others are kept while there is room, and no block goes for them: of a
        corpus that does not fit, those that come last are no better than those that came first.
        """
        blocks, together = self._blocks(start, stop), max(1, _REQUEST_BYTES // self._block)
        for at in range(0, len(blocks), together):
            mine = blocks[at : at + together]
            found = {block: data for block in mine if (data := self._on_disk(self._name(file, block))) is not None}
            for _, block, data in self._fetch([(file, block) for block in mine if block not in found]):
                found[block] = data
                if self.stored_bytes + len(data) <= self._limit:
                    self._store(self._name(file, block), data, frozenset())
            first = mine.start * self._block
            yield b"".join(found[block] for block in mine)[max(start - first, 0) : stop - first]

    def _runs(self, blocks: Iterable[tuple[RemoteFile, int]]) -> list[tuple[RemoteFile, range]]:
        """Blocks that follow each other in a file, together."""
        runs: list[tuple[RemoteFile, range]] = []
        for file, block in sorted(blocks, key=lambda one: (one[0].digest, one[1])):
            before, run = runs[-1] if runs else (file, range(0))
            if runs and before == file and run.stop == block and (len(run) + 1) * self._block <= _REQUEST_BYTES:
                runs[-1] = file, range(run.start, block + 1)
            else:
                runs.append((file, range(block, block + 1)))
        return runs

    def _fetch(self, blocks: Iterable[tuple[RemoteFile, int]]) -> Iterator[tuple[RemoteFile, int, bytes]]:
        """Blocks from where the files lie, with what they are."""
        by_folder: dict[Folder, list[tuple[RemoteFile, range]]] = {}
        for file, run in self._runs(blocks):
            by_folder.setdefault(file.folder, []).append((file, run))
        for folder, runs in by_folder.items():
            filesystem, _ = folder.filesystem()
            starts = [run.start * self._block for _, run in runs]
            stops = [min(run.stop * self._block, file.size) for file, run in runs]
            paths = [folder.path(file.name) for file, _ in runs]
            found = filesystem.cat_ranges(paths, starts, stops, on_error="return")
            for (file, run), start, stop, data in zip(runs, starts, stops, found, strict=True):
                if isinstance(data, Exception) or len(data) != stop - start:
                    reason = data if isinstance(data, Exception) else f"{len(data)} bytes instead of {stop - start}"
                    raise ShardError(
                        f"{folder.url}/{file.name} cannot be read from byte {start} on: {reason}; see that it is there "
                        "as it was planned, then go on"
                    )
                with self._lock:
                    self.fetched_bytes += len(data)
                for number, block in enumerate(run):
                    yield file, block, bytes(data[number * self._block : (number + 1) * self._block])

    def _store(self, name: str, data: bytes, keep: frozenset[str]) -> None:
        temporary = self._unfinished / uuid.uuid4().hex
        try:
            temporary.write_bytes(data)
            temporary.replace(self._folder / name)
        except OSError as error:
            raise OutputError(
                f"cannot write {self._folder / name}: {error}; free some space, or give a smaller cache or another "
                "folder for it"
            ) from error
        with self._lock:
            self.stored_bytes += len(data) - self._sizes.pop(name, 0)
            self._sizes[name] = len(data)
            self._trim(keep)

    def _forget(self, name: str) -> None:
        self.stored_bytes -= self._sizes.pop(name, 0)

    def _trim(self, keep: frozenset[str]) -> None:
        """Drop the blocks used longest ago, but none that the batch at hand needs."""
        gone, over = [], self.stored_bytes - self._limit
        for name, size in self._sizes.items():
            if over <= 0:
                break
            if name not in keep:
                gone.append(name)
                over -= size
        for name in gone:
            self._forget(name)
            (self._folder / name).unlink(missing_ok=True)

    def _on_disk(self, name: str) -> bytes | None:
        """A block that is here, which counts as used now; None where another thread or process made room."""
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            with self._lock:
                self._forget(name)
            return None
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        return data

    def _block_bytes(self, file: RemoteFile, block: int) -> bytes:
        for _ in range(3):
            data = self._on_disk(self._name(file, block))
            if data is not None:
                return data
            self.prepare([(file, block * self._block, block * self._block + 1)])
        raise ShardError(
            f"{file.folder.url}/{file.name}: its blocks in {self._folder} go as fast as they come; give the cache "
            "more bytes"
        )

    def read(self, file: RemoteFile, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file."""
        first = start // self._block * self._block
        data = b"".join(self._block_bytes(file, block) for block in self._blocks(start, stop))
        return data[start - first : stop - first]
