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
from s3_server import s3_environment, s3_server

from schemas.errors import OutputError
from schemas.exclusive import create_file
from schemas.storage import Folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URL of a bucket on a real S3 server."""
    with s3_server("claims") as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment(endpoint).items():
            patch.setenv(name, value)
        yield "s3://claims"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


# Of what keeps its promise when asked at once.
EXACT = ["local", "s3"]


@pytest.fixture(params=[*EXACT, "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    if request.param == "local":
        yield Folder(str(tmp_path / "claims"))
        return
    base = request.getfixturevalue("bucket") if request.param == "s3" else "memory:/"
    place = Folder(f"{base}/claims-{uuid.uuid4().hex}")
    yield place
    place.remove_tree()


def test_the_second_to_make_it_is_told_so(folder: Folder):
    assert create_file(folder, "one", b"first")
    assert not create_file(folder, "one", b"second")
    assert folder.read("one") == b"first"
    assert folder.names() == ["one"]
    folder.remove("one")
    assert create_file(folder, "one", b"third")


@pytest.mark.parametrize("folder", EXACT, indirect=True)
def test_of_many_who_try_at_once_one_makes_it(folder: Folder):
    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            made = list(pool.map(lambda who, n=number: create_file(folder, f"f{n}", bytes([who])), range(8)))
            assert made.count(True) == 1
            assert folder.read(f"f{number}") == bytes([made.index(True)])


def _raise(error: OSError) -> None:
    raise error


def test_an_answer_that_got_lost_is_not_taken_for_somebody_elses_file(bucket: str, monkeypatch: pytest.MonkeyPatch):
    folder = Folder(f"{bucket}/lost")
    fs, _ = folder.filesystem()
    whole = fs.pipe_file
    monkeypatch.setattr(fs, "pipe_file", lambda *words, **about: [whole(*words, **about) for _ in range(2)])
    assert create_file(folder, "one", b"mine")
    assert not create_file(folder, "one", b"of another")
    assert folder.read("one") == b"mine"


@pytest.mark.parametrize("refusal", [OSError(errno.EINVAL, "no"), OSError(errno.EBUSY, "a conflict")])
def test_a_refusal_in_other_words_is_understood(bucket: str, monkeypatch: pytest.MonkeyPatch, refusal: OSError):
    folder = Folder(f"{bucket}/words-{refusal.errno}")
    assert create_file(folder, "there", b"first")
    monkeypatch.setattr(folder.filesystem()[0], "pipe_file", lambda *_, **__: _raise(refusal))
    assert not create_file(folder, "there", b"second")
    with pytest.raises(OutputError, match="cannot write"):
        create_file(folder, "not there", b"first")


def test_who_may_not_write_is_told_so(bucket: str, monkeypatch: pytest.MonkeyPatch):
    folder = Folder(f"{bucket}/closed")
    assert create_file(folder, "one", b"first")
    monkeypatch.setattr(folder.filesystem()[0], "pipe_file", lambda *_, **__: _raise(PermissionError("denied")))
    with pytest.raises(OutputError, match="cannot write"):
        create_file(folder, "one", b"second")


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
