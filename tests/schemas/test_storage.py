from __future__ import annotations

import errno
import gc
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import InputError, OutputError
from schemas.storage import Folder, join_url, open_input


@pytest.fixture(params=["local", "file-url", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """An empty folder, on the local file system by path and by URL, and in memory, which stands for object stores."""
    if request.param == "memory":
        made = Folder(f"memory://bucket-{uuid.uuid4().hex}/corpus")
        yield made
        made.remove_tree()
    else:
        yield Folder(("file://" if request.param == "file-url" else "") + str(tmp_path / "corpus"))


def test_urls_are_joined_with_single_slashes() -> None:
    assert join_url("s3://bucket/corpus/", "/documents/", "", "web") == "s3://bucket/corpus/documents/web"


def test_files_are_written_read_listed_found_moved_and_removed(folder: Folder) -> None:
    assert (folder.exists(), folder.exists("a"), folder.names(), folder.find("a")) == (False, False, [], [])
    folder.put_whole("a.json", b"one")
    folder.put_whole("a.json", b"two")
    with folder.child("x", "y").open_write("a.json") as stream:
        stream.write(b"three")
    with folder.child("xa.json").open_write("other") as stream:
        stream.write(b"four")
    assert folder.read("a.json") == b"two"
    with folder.child("x/y").open_read("a.json") as stream:
        assert stream.read() == b"three"
    assert folder.names() == ["a.json"]
    assert folder.find("a.json") == ["x/y"]
    assert folder.child("x").find("a.json") == ["y"]
    assert folder.files_below() == ["a.json", "x/y/a.json", "xa.json/other"]
    folder.child("z").move_in(folder.child("x", "y"), "a.json", "b.json")
    folder.move_in(folder.child("z"), "b.json", "a.json")
    assert folder.read("a.json") == b"three"
    assert folder.child("z").names() == []
    folder.remove("a.json")
    folder.remove("a.json")
    assert not folder.exists("a.json")
    folder.remove_tree()
    folder.remove_tree()
    assert folder.files_below() == []


def test_files_are_opened_for_arrow(folder: Folder) -> None:
    folder.put_whole("a", b"0123456789")
    with folder.open_arrow("a") as stream:
        stream.seek(3)
        assert stream.read_buffer(4).to_pybytes() == b"3456"
    with pytest.raises(FileNotFoundError):
        folder.open_arrow("b")


def test_local_folders_are_told_from_others(tmp_path: Path) -> None:
    assert Folder(str(tmp_path)).is_local
    assert Folder(f"file://{tmp_path}").path("a") == f"{tmp_path}/a"
    assert not Folder("memory://x").is_local


def test_a_whole_file_appears_at_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(str(tmp_path))
    folder.put_whole("a", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OutputError, match=r"cannot write .*/a: \[Errno 28\] No space left.*; free some space or give a"
    ):
        folder.put_whole("a", b"new and longer")
    assert folder.read("a") == b"old"


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match=r"cannot write to .*/file/below: .*; give a folder that you may write"):
        Folder(str(tmp_path / "file" / "below")).make()
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*/taken: .*; free some space or give another folder"):
        Folder(str(tmp_path)).put_whole("taken", b"x")
    with (
        pytest.raises(OutputError, match=r"cannot write .*/taken: .*; free some space or give another folder"),
        Folder(str(tmp_path)).open_write("taken") as stream,
    ):
        stream.write(b"x")
    with pytest.raises(InputError, match=r"cannot use nonsense://x: .*; give a path or a URL like s3://bucket/folder"):
        Folder("nonsense://x").exists()


def test_inputs_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with open_input(str(tmp_path / "a")) as stream:
        assert stream.read() == b"x"
    for url in (str(tmp_path / "none"), str(tmp_path), "nonsense://x"):
        with pytest.raises(InputError, match=r"cannot read .*; give a file that exists and that you may read"):
            open_input(url)


def test_a_file_whose_writing_fails_is_as_it_was(folder: Folder) -> None:
    def write(name: str) -> None:
        with folder.open_write(name) as stream:
            stream.write(b"half")
            raise ValueError("the body failed")

    folder.put_whole("there", b"whole")
    for name in ("there", "new"):
        with pytest.raises(ValueError, match="the body failed"):
            write(name)
    gc.collect()  # a forgotten stream must not become an object either
    assert folder.names() == ["there"]
    assert folder.read("there") == b"whole"


def test_what_else_fails_while_a_file_is_written_is_not_its_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), Folder(str(tmp_path)).open_write("x"):
        (tmp_path / "missing").read_bytes()
    full = r"cannot write .*/x: .*No space left on device; free some space or give"
    with pytest.raises(OutputError, match=full), Folder(str(tmp_path)).open_write("x"):
        raise OSError(errno.ENOSPC, "No space left on device")
