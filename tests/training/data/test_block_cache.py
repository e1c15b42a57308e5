"""The cache of remote blocks: requests, bounds, and what killed processes leave."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.errors import OutputError
from schemas.storage import Folder
from training.data import block_cache
from training.data.block_cache import BlockCache, RemoteFile

BLOCK = 64
CONTENT = np.random.default_rng(0).bytes(BLOCK * 20 + 13)


@pytest.fixture
def remote(request: pytest.FixtureRequest) -> RemoteFile:
    folder = Folder(f"memory://blocks-{request.node.name}")
    folder.put_whole("shard", CONTENT)
    return RemoteFile(folder, "shard", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def requests(remote: RemoteFile, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges that were asked for, as they come."""
    seen: list[tuple[int, int]] = []
    filesystem, _ = remote.folder.filesystem()
    plain = filesystem.cat_ranges

    def watched(paths: list[str], starts: list[int], ends: list[int], **about: Any) -> list[bytes]:
        seen.extend(zip(starts, ends, strict=True))
        return list(plain(paths, starts, ends, **about))

    monkeypatch.setattr(type(filesystem), "cat_ranges", lambda _, *given, **about: watched(*given, **about))
    return seen


def blocks_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_blocks_that_follow_each_other_are_asked_for_in_one_request(
    remote: RemoteFile, requests: list[tuple[int, int]], tmp_path: Path
) -> None:
    cache = BlockCache(str(tmp_path), block_bytes=BLOCK)
    cache.prepare([(remote, 5 * BLOCK, 6 * BLOCK), (remote, 10, 3 * BLOCK + 1), (remote, 19 * BLOCK, len(CONTENT))])
    assert requests == [(0, 4 * BLOCK), (5 * BLOCK, 6 * BLOCK), (19 * BLOCK, len(CONTENT))]
    assert cache.read(remote, 10, 3 * BLOCK + 1) == CONTENT[10 : 3 * BLOCK + 1]
    assert cache.read(remote, 19 * BLOCK + 5, len(CONTENT)) == CONTENT[19 * BLOCK + 5 :]
    assert len(requests) == 3


def test_a_file_is_read_through_in_large_requests_each_byte_once(
    remote: RemoteFile, requests: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_cache, "_REQUEST_BYTES", 8 * BLOCK)
    cache = BlockCache(str(tmp_path), limit_bytes=11 * BLOCK, block_bytes=BLOCK)
    cache.read(remote, 9 * BLOCK, 9 * BLOCK + 1)
    pieces = list(cache.read_through(remote, 24, len(CONTENT) - 3))
    assert b"".join(pieces) == CONTENT[24:-3]
    ends = [(0, 8 * BLOCK), (8 * BLOCK, 9 * BLOCK), (10 * BLOCK, 16 * BLOCK), (16 * BLOCK, len(CONTENT))]
    assert requests == [(9 * BLOCK, 10 * BLOCK), *ends]
    assert cache.fetched_bytes == len(CONTENT)
    # What there is room for stays, and the block that was there before is not driven out.
    assert cache.stored_bytes == 11 * BLOCK
    assert cache.read(remote, 0, 10 * BLOCK) == CONTENT[: 10 * BLOCK]
    assert cache.fetched_bytes == len(CONTENT)


def test_blocks_used_longest_ago_go_first(remote: RemoteFile, tmp_path: Path) -> None:
    cache = BlockCache(str(tmp_path), limit_bytes=3 * BLOCK, block_bytes=BLOCK)
    for block in (0, 1, 2, 0, 3):
        cache.read(remote, block * BLOCK, block * BLOCK + 1)
    assert cache.fetched_bytes == 4 * BLOCK
    cache.read(remote, 0, 1)
    assert cache.fetched_bytes == 4 * BLOCK
    cache.read(remote, BLOCK, BLOCK + 1)
    assert cache.fetched_bytes == 5 * BLOCK
    assert blocks_in(tmp_path) == cache.stored_bytes == 3 * BLOCK


_KILLED = """
import os, signal, sys
from schemas.storage import Folder
from training.data.block_cache import BlockCache, RemoteFile
folder = Folder("memory://killed")
folder.put_whole("shard", bytes(640))
cache = BlockCache(sys.argv[1] or None, block_bytes=64)
cache.read(RemoteFile(folder, "shard", 640, "d" * 32), 0, 128)
(cache._unfinished / "half").write_bytes(bytes(10_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("given", [True, False], ids=["folder", "temporary"])
def test_what_killed_processes_left_goes_and_what_live_ones_write_stays(
    given: bool, remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    folder = str(tmp_path) if given else None
    live = BlockCache(folder, block_bytes=BLOCK)
    live.read(remote, 0, 1)
    killed = subprocess.run([sys.executable, "-c", _KILLED, folder or ""], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert blocks_in(tmp_path) == BLOCK + 10_000 + 2 * 64
    cache = BlockCache(folder, limit_bytes=4 * BLOCK, block_bytes=BLOCK)
    cache.read(remote, BLOCK, 2 * BLOCK)
    # Whole blocks in a folder that was given are worth keeping; nothing else is left of the process that was killed.
    assert blocks_in(tmp_path) == (4 if given else 2) * BLOCK
    assert live.read(remote, 0, BLOCK) == CONTENT[:BLOCK]
    del live, cache
    assert blocks_in(tmp_path) == (4 * BLOCK if given else 0)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ([".block"] * 4 if given else [])


def test_a_folder_that_cannot_be_written_is_named(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = BlockCache(str(tmp_path / "file"), block_bytes=BLOCK)
    with pytest.raises(OutputError, match=r"cannot write to .*/file: .*; free some space or give another folder"):
        cache.prepare([(remote, 0, 1)])
