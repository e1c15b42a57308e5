from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from warcio.archiveiterator import ArchiveIterator

from pipelines.crawl.fetch import Answer
from pipelines.crawl.warc_files import Position, WarcFiles, encode_answer, part_file, payload_digest
from schemas.errors import StageError

BEGIN = Position()
ABOUT = {"software": "corpusmill/0.1", "isPartOf": "web/1"}


def _answer(number: int = 0, **changes: object) -> Answer:
    values: dict[str, object] = {
        "url": f"http://site.example/{number}?q=é%20".replace("é", "%C3%A9"),
        "status": 200,
        "reason": "OK",
        "request_headers": (("Host", "site.example"), ("User-Agent", "corpusmill/0.1")),
        "headers": (("Content-Type", "text/html"), ("X-Title", "é"), ("Content-Length", "7")),
        "body": f"<p>page {number} ü</p>".encode() * 20,
        "decoded": False,
        "server_address": "127.0.0.1",
        "captured_at": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        **changes,
    }
    return Answer(**values)  # type: ignore[arg-type]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Position]:
    def go(answers: list[Answer], position: Position = BEGIN, limit: int = 10**9) -> Position:
        files = WarcFiles(tmp_path, limit, ABOUT, position)
        for answer in answers:
            files.append(encode_answer(answer, payload_digest(answer.body)))
        files.close()
        return files.position

    return go


def _records(path: Path) -> list[tuple[str, str, bytes]]:
    with path.open("rb") as stream:
        return [
            (record.rec_type, record.rec_headers.get_header("WARC-Target-URI") or "", record.content_stream().read())
            for record in ArchiveIterator(stream)
        ]


def test_both_libraries_read_the_same(tmp_path: Path, write: Callable[..., Position]) -> None:
    answers = [_answer(number) for number in range(3)]
    write(answers)
    path = tmp_path / part_file(0)
    expected = [("warcinfo", "", b"software: corpusmill/0.1\r\nisPartOf: web/1\r\n")]
    for answer in answers:
        expected += [("response", answer.url, answer.body), ("request", answer.url, b"")]
    assert _records(path) == expected
    with path.open("rb") as stream:
        fast = [
            (record.headers["WARC-Type"], record.headers.get("WARC-Target-URI") or "", record.reader.read())
            for record in FastIterator(stream)
        ]
    assert fast == expected


def test_both_libraries_find_the_digests_right(tmp_path: Path, write: Callable[..., Position]) -> None:
    write([_answer()])
    path = tmp_path / part_file(0)
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, check_digests="raise"):
            record.content_stream().read()
            assert record.digest_checker.passed
    with path.open("rb") as stream:
        assert all(record.verify_block_digest() for record in FastIterator(stream, parse_http=False))
    with path.open("rb") as stream:
        # a warcinfo record has no payload
        assert [record.verify_payload_digest() for record in FastIterator(stream)] == [False, True, True]


def test_record_headers(tmp_path: Path, write: Callable[..., Position]) -> None:
    answer = _answer()
    write([answer])
    with (tmp_path / part_file(0)).open("rb") as stream:
        records = {record.rec_type: record for record in ArchiveIterator(stream, no_record_parse=False)}
    digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"response {digest} {answer.url}")
    response, request = records["response"], records["request"]
    assert response.rec_headers.get_header("WARC-Record-ID") == f"<urn:uuid:{identity}>"
    assert response.rec_headers.get_header("WARC-Payload-Digest") == digest
    assert response.rec_headers.get_header("WARC-Date") == "2026-01-02T03:04:05Z"
    assert response.rec_headers.get_header("WARC-IP-Address") == "127.0.0.1"
    assert response.http_headers.get_statuscode() == "200"
    assert response.http_headers.get_header("X-Crawl-Content-Length") == "7"
    assert response.http_headers.get_header("Content-Length") == str(len(answer.body))
    assert request.rec_headers.get_header("WARC-Concurrent-To") == f"<urn:uuid:{identity}>"
    assert request.http_headers.protocol == "GET"
    assert request.http_headers.statusline == "/0?q=%C3%A9%20 HTTP/1.1"
    assert request.http_headers.get_header("User-Agent") == "corpusmill/0.1"


@pytest.mark.parametrize(("decoded", "name"), [(True, "X-Crawl-Content-Encoding"), (False, "Content-Encoding")])
def test_headers_speak_of_the_stored_body(
    tmp_path: Path, write: Callable[..., Position], decoded: bool, name: str
) -> None:
    write([_answer(headers=(("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")), decoded=decoded)])
    with (tmp_path / part_file(0)).open("rb") as stream:
        headers = next(r.http_headers for r in ArchiveIterator(stream) if r.rec_type == "response")
    assert headers.get_header(name) == "gzip"
    assert headers.get_header("Transfer-Encoding") is None
    assert headers.get_header("X-Crawl-Transfer-Encoding") == "chunked"


def test_a_new_file_after_the_limit(tmp_path: Path, write: Callable[..., Position]) -> None:
    last = write([_answer(number) for number in range(3)], limit=10)
    assert last.part == 2
    for part in range(3):
        assert [kind for kind, _, _ in _records(tmp_path / part_file(part))] == ["warcinfo", "response", "request"]


@pytest.mark.parametrize("junk", [b"\x1f\x8b\x08half a member", b""])
def test_what_no_journal_line_speaks_of_is_cut_off(tmp_path: Path, write: Callable[..., Position], junk: bytes) -> None:
    kept = write([_answer(0)])
    whole = (tmp_path / part_file(0)).read_bytes()
    write([_answer(1)], position=kept)
    assert (tmp_path / part_file(0)).stat().st_size > kept.end
    with (tmp_path / part_file(0)).open("ab") as stream:
        stream.write(junk)
    (tmp_path / part_file(1)).write_bytes(b"begun")
    assert write([], position=kept) == kept
    assert (tmp_path / part_file(0)).read_bytes() == whole
    assert not (tmp_path / part_file(1)).exists()
    write([_answer(2)], position=kept)
    assert [url for kind, url, _ in _records(tmp_path / part_file(0)) if kind == "response"] == [
        _answer(0).url,
        _answer(2).url,
    ]


def test_lost_records_are_said(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"part-00000\.warc\.gz has lost records; delete .* to crawl anew"):
        WarcFiles(tmp_path, 100, ABOUT, Position(0, 50))


@pytest.mark.parametrize(
    "value", ["größe=x; path=/", 'inline; filename="ü.html"', "text/html; char\xd6et=utf-8", "100% é"]
)
def test_a_header_that_is_not_ascii_is_stored(tmp_path: Path, write: Callable[..., Position], value: str) -> None:
    answer = _answer(headers=(("Set-Cookie", value),))
    write([answer])
    with (tmp_path / part_file(0)).open("rb") as stream:
        stored = [
            (record.http_headers["Set-Cookie"], record.reader.read())
            for record in FastIterator(stream)
            if record.headers["WARC-Type"] == "response"
        ]
    assert [(unquote(header), body) for header, body in stored] == [(value, answer.body)]
