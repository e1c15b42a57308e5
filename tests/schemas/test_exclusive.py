"""Files that are made once, in each kind of store that can be run here."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from schemas.errors import OutputError
from schemas.exclusive import create_file
from schemas.storage import Folder


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    if request.param == "local":
        yield Folder(str(tmp_path / "claims"))
        return
    place = Folder(f"memory://claims-{uuid.uuid4().hex}")
    yield place
    place.remove_tree()


def test_the_second_to_make_it_is_told_so(folder: Folder):
    assert create_file(folder, "one", b"first")
    assert not create_file(folder, "one", b"second")
    assert folder.read("one") == b"first"
    assert folder.names() == ["one"]
    folder.remove("one")
    assert create_file(folder, "one", b"third")


def test_of_many_who_try_at_once_one_makes_it(tmp_path: Path):
    folder = Folder(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            made = list(pool.map(lambda who, n=number: create_file(folder, f"f{n}", bytes([who])), range(8)))
            assert made.count(True) == 1
            assert folder.read(f"f{number}") == bytes([made.index(True)])


def test_without_links_a_file_is_made_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    folder = Folder(str(tmp_path))
    assert create_file(folder, "one", b"first")
    assert not create_file(folder, "one", b"second")
    assert folder.read("one") == b"first"
    assert folder.names() == ["one"]


def test_a_store_that_knows_no_condition_is_asked_first(monkeypatch: pytest.MonkeyPatch):
    folder = Folder(f"memory://plain-{uuid.uuid4().hex}")
    kind = type(fsspec.filesystem("memory"))
    whole = kind.pipe_file

    def plain(self: object, path: str, value: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            raise NotImplementedError
        whole(self, path, value)

    monkeypatch.setattr(kind, "pipe_file", plain)
    assert create_file(folder, "one", b"first")
    assert not create_file(folder, "one", b"second")
    assert folder.read("one") == b"first"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        create_file(Folder(str(tmp_path / "file")), "one", b"")
