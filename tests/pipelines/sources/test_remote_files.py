"""Remote files come whole or fail the work: against a real server that refuses, cuts, lies and changes."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from file_server import FileServer, serve_files
from fsspec.implementations.memory import MemoryFile

from pipelines.sources.remote_files import ResumingFile, describe_remote, open_source
from schemas.configs.sources import FetchConfig
from schemas.errors import InputError, StageError

CONTENT = random.Random(1).randbytes(700_000)
QUICK = FetchConfig(attempts=4, first_wait_seconds=0.001, longest_wait_seconds=0.01, timeout_seconds=60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    with serve_files(tmp_path) as served:
        yield served


def whole(server: FileServer) -> bytes:
    with open_source(server.url + "file.bin", QUICK) as stream:
        return stream.read()


def test_a_good_server_is_asked_once(server: FileServer) -> None:
    assert whole(server) == CONTENT
    assert server.gets("file.bin") == [None]


def test_refusals_are_waited_out(server: FileServer) -> None:
    server.refusals = [503, 429, 500]
    assert whole(server) == CONTENT
    assert len(server.gets("file.bin")) == 4


def test_a_cut_connection_goes_on_where_it_was(server: FileServer) -> None:
    server.cut_after = [200_000, 0, 100_000]
    assert whole(server) == CONTENT
    _, *resumed = server.gets("file.bin")
    assert len(resumed) == 3
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in resumed if asked]
    assert starts == [200_000, 200_000, 300_000]


def test_a_server_without_ranges_is_read_up_to_the_place_again(server: FileServer) -> None:
    server.ranges = False
    server.cut_after = [300_000, 500_000]
    assert whole(server) == CONTENT


def test_cuts_far_apart_never_add_up(server: FileServer) -> None:
    server.always_cut = 70_000  # ten cuts; four in a row would be too many
    assert whole(server) == CONTENT
    assert len(server.gets("file.bin")) == 10


def test_a_jump_reads_from_there(server: FileServer) -> None:
    with open_source(server.url + "file.bin", QUICK) as stream:
        assert stream.seek(600_000) == 600_000
        assert stream.read(10) == CONTENT[600_000:600_010]
        assert stream.seek(-5, 2) == len(CONTENT) - 5
        assert stream.read() == CONTENT[-5:]
        stream.seek(3)
        assert stream.read(4) == CONTENT[3:7]
    raw = ResumingFile(server.url + "file.bin", QUICK)
    raw.seek(10**9)
    assert (raw.tell(), raw.read(5)) == (10**9, b"")
    raw.close()


def test_what_never_comes_is_an_error_and_no_end_of_file(server: FileServer) -> None:
    server.always_cut = 50
    message = r"cannot read .*file.bin: 4 attempts in a row failed, the last at byte \d+ of 700000 .*nothing was comm"
    with pytest.raises(StageError, match=message):
        whole(server)
    server.always_cut, server.refusals = None, [503] * 50
    with pytest.raises(StageError, match=r"the last at byte 0 of 700000 \(the server answers 503.*fetch.attempts"):
        whole(server)
    assert len(server.refusals) == 46


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with serve_files(tmp_path) as gone:
        url = gone.url
    with pytest.raises(StageError, match=r"4 attempts in a row failed, the last before its size was known"):
        describe_remote(url + "file.bin", QUICK)


def test_a_file_that_is_not_there_is_asked_for_once(server: FileServer) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing: the server answers 404; give a URL that exists"):
        describe_remote(server.url + "nothing", QUICK)
    server.refusals = [403]
    with pytest.raises(InputError, match=r"the server answers 403"):
        whole(server)


def test_a_wrong_range_is_not_taken(server: FileServer) -> None:
    server.wrong_range = 3
    server.cut_after = [100_000]
    with pytest.raises(StageError, match=r"asked for bytes from 100000 on, got bytes 100003-699999/700000"):
        whole(server)


def test_a_file_that_changes_while_it_is_read(server: FileServer) -> None:
    with open_source(server.url + "file.bin", QUICK) as stream:
        (server.folder / "file.bin").write_bytes(CONTENT[::-1])
        with pytest.raises(StageError, match=r"has changed while it was read \(it had 700000 bytes"):
            stream.read()


def test_a_file_of_unknown_length_is_refused(server: FileServer) -> None:
    server.stated_size = False
    with pytest.raises(InputError, match=r"does not say how long it is, so nobody could see that it came whole"):
        describe_remote(server.url + "file.bin", QUICK)


def test_what_a_server_calls_encoded_is_what_the_file_holds(server: FileServer) -> None:
    (server.folder / "file.bin").write_bytes(gzip.compress(CONTENT, mtime=0))
    server.headers = {"Content-Encoding": "gzip"}
    assert whole(server) == gzip.compress(CONTENT, mtime=0)


def test_local_files_are_opened_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_source(str(tmp_path / "a"), QUICK) as stream:
        assert stream.read() == b"abc"
    with pytest.raises(InputError, match=r"cannot read nosuchprotocol://a: .*give a file that exists"):
        open_source("nosuchprotocol://a", QUICK)


def test_stores_other_than_web_servers_are_resumed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/file.bin", CONTENT)
    whole_read = MemoryFile.read
    cuts = iter([None, OSError("reset by peer"), None, None, TimeoutError("slow")])

    def read(self: MemoryFile, most: int = -1) -> bytes:
        trouble = next(cuts, None)
        if trouble:
            raise trouble
        return bytes(whole_read(self, min(most, 150_000)))

    monkeypatch.setattr(MemoryFile, "read", read)
    assert ResumingFile("memory://bucket/file.bin", QUICK).readall() == CONTENT
    assert next(cuts, "used up") == "used up"
    with pytest.raises(InputError, match=r"cannot read memory://bucket/nothing: .*give a file that exists"):
        describe_remote("memory://bucket/nothing", QUICK)
