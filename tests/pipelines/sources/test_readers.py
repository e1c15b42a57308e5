"""What the readers give of records, rows and folders."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import brotli
import pytest
from backports import zstd

from pipelines.sources.http_content import parse_response
from pipelines.sources.inputs import list_inputs
from pipelines.sources.items import DeadItem, Item, WorkItem, parse_time
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.configs.base import StageConfig
from schemas.configs.clean import CleanConfig
from schemas.errors import InputError
from schemas.manifest import Manifest, OutputFile, TableRecord, write_manifest
from schemas.storage import Folder


def limited(most_bytes: int) -> ReadSettings:
    return ReadSettings.of(CleanConfig(max_item_bytes=most_bytes, worker_memory_bytes=2**33))


FETCH = limited(1).fetch
BODY = b"<html>" + b"hello " * 50 + b"</html>"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ("", BODY),
        ("Content-Encoding: gzip", gzip.compress(BODY, mtime=0)),
        ("Content-Encoding: x-gzip", gzip.compress(BODY, mtime=0)),
        ("Content-Encoding: br", brotli.compress(BODY)),
        ("Transfer-Encoding: chunked", chunked(BODY)),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", chunked(gzip.compress(BODY, mtime=0))),
        ("Content-Encoding: zstd", zstd.compress(BODY)),
        ("Content-Encoding: deflate", zlib.compress(BODY)),
        ("Content-Encoding: deflate", zlib.compress(BODY)[2:-4]),  # bare, as some servers send it
        ("Content-Encoding: deflate", BODY),
        ("Content-Encoding: br, gzip", gzip.compress(brotli.compress(BODY), mtime=0)),
        ("Content-Encoding: gzip", gzip.compress(BODY[:99], mtime=0) + gzip.compress(BODY[99:], mtime=0)),
        ("Content-Encoding: zstd", zstd.compress(BODY[:99]) + zstd.compress(BODY[99:])),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: br", chunked(brotli.compress(BODY))),
        ("Content-Encoding: br", BODY),
        ("Content-Encoding: zstd", BODY),
        ("Content-Encoding: gzip", BODY),  # decoded already when it was stored
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", BODY),
        ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", gzip.compress(BODY, mtime=0)),
        ("Content-Encoding: no-such-thing", BODY),
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_codings_of_a_response(fields: str, stored: bytes, end: str) -> None:
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/html", "X-Robots-Tag: noindex", *fields.split("\r\n"), ""]
    header = end.join(line for line in lines if line) + end + end
    response = parse_response(header.encode() + stored, 10_000)
    assert (response.status, response.content_type, response.robots) == (200, "text/html", "noindex")
    assert response.body == BODY


def test_a_chunk_too_long_to_be_one_leaves_the_body_as_it_is() -> None:
    body = b"F" * 15 + b"\r\n" + BODY
    response = parse_response(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, 10_000)
    assert response.status == 200
    odd = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"9;" + b"9" * 400 + b"\r\n" + BODY
    assert parse_response(odd, 10_000).status == 200


def test_a_header_as_long_as_a_page_is_read_up_to_a_mebibyte() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + b"a\n" * 2**20 + b"X-Robots-Tag: noindex\r\n\r\n" + BODY
    response = parse_response(long, 10_000)
    assert (response.content_type, response.robots, response.body) == ("text/html", None, BODY)


def bomb(coding: str, num_bytes: int) -> bytes:
    """So many zeros, packed piece by piece."""
    packer: Any
    if coding == "br":
        packer = brotli.Compressor(quality=1)
        return b"".join(packer.process(bytes(2**20)) for _ in range(num_bytes >> 20)) + packer.finish()
    window = {"gzip": 31, "deflate": 15, "bare": -15}
    packer = zstd.ZstdCompressor() if coding == "zstd" else zlib.compressobj(1, zlib.DEFLATED, window[coding])
    return b"".join(packer.compress(bytes(2**20)) for _ in range(num_bytes >> 20)) + packer.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "bare", "br", "zstd"])
def test_a_bomb_costs_what_a_page_costs(coding: str) -> None:
    packed = bomb(coding, 2**29)
    stated = "deflate" if coding == "bare" else coding
    # The most that is in use at any time, in a process of its own.
    code = (
        "import resource, sys, time\n"
        "from pipelines.sources.http_content import parse_response\n"
        "block = sys.stdin.buffer.read()\n"
        "used = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "before, started = used(), time.process_time()\n"
        "response = parse_response(block, 1_000_000)\n"
        "print(len(response.body), used() - before, time.process_time() - started)\n"
    )
    header = f"HTTP/1.1 200 OK\r\nContent-Encoding: {stated}\r\n\r\n".encode()
    done = subprocess.run([sys.executable, "-c", code], input=header + packed, capture_output=True, check=True)
    size, kibibytes, seconds = done.stdout.split()
    assert int(size) == 1_000_001
    assert int(kibibytes) < 32 * 1024
    assert float(seconds) < 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_of_a_body_cut_off_the_beginning_is_read(coding: str) -> None:
    draw = random.Random(3)
    text = b"".join(b"line %d of the page\n" % draw.randrange(10**6) for n in range(30_000))
    packers = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress}
    packed = packers[coding](text)
    header = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n".encode()
    cut = parse_response(header + packed[: len(packed) * 3 // 4], 10**7).body
    assert text.startswith(cut)
    assert len(cut) > 50_000
    damaged = bytearray(packed)
    damaged[len(packed) // 2 :] = bytes(len(packed) - len(packed) // 2)
    left = parse_response(header + bytes(damaged), 10**7).body
    assert left[:20_000] == text[:20_000]


def test_layers_of_codings_have_an_end() -> None:
    layers = [BODY]
    for _ in range(6):
        layers.append(gzip.compress(layers[-1], mtime=0))
    header = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b", ".join([b"gzip"] * 6) + b"\r\n\r\n"
    assert parse_response(header + layers[6], 10_000).body == layers[2]


def test_the_url_stands_as_the_record_states_it(shared_data: Path) -> None:
    path = shared_data / "warc" / "warcio" / "example-space-in-target-uri.warc.gz"
    (item,) = read_items(WorkItem(url=str(path), format="warc", by_member=True), limited(10_000))
    assert item.url == "file:///example with spaces.png"


def test_the_same_crawl_as_warc_and_as_arc(shared_data: Path) -> None:
    def pages(name: str, form: str) -> list[tuple[str | None, bytes]]:
        work = WorkItem(url=str(shared_data / "warc" / "aut" / name), format=form, by_member=True)
        return [
            (item.url, item.body) for item in read_items(work, limited(10**8)) if isinstance(item, Item) and item.status
        ]

    assert pages("example.warc.gz", "warc") == pages("example.arc.gz", "arc")
    assert len(pages("example.arc.gz", "arc")) == 261


def test_the_rest_of_a_truncated_file_is_one_dead_item(shared_data: Path, tmp_path: Path) -> None:
    data = (shared_data / "warc" / "aut" / "issue-493.warc").read_bytes()
    (tmp_path / "cut").write_bytes(data[:30_000])
    *whole, rest = read_items(WorkItem(url=str(tmp_path / "cut"), format="warc"), limited(10**8))
    assert whole
    assert all(isinstance(item, Item) for item in whole)
    assert isinstance(rest, DeadItem)
    assert rest.name == "damaged-rest"
    assert rest.message.startswith(f"from byte {rest.address.record_offset}: the file ends ")


def test_json_rows(tmp_path: Path) -> None:
    rows = [
        json.dumps({"text": "a\ud800", "id": 7, "url": "http://x/", "date": "2024-05-18T01:02:03Z", "title": "T"}),
        "",
        "{broken",
        "[1]",
        '{"text": 5}',
        '{"text": "' + "x" * 3000 + '"}',
        '{"text": ' + "[" * 900 + "]" * 900 + "}",
        '{"text": "last"}',
    ]
    (tmp_path / "rows").write_text("\n".join(rows), encoding="utf-8")
    found = list(read_items(WorkItem(url=str(tmp_path / "rows"), format="jsonl"), limited(2_000)))
    names = [item.name if isinstance(item, DeadItem) else item.text for item in found]
    assert names == ["a\ud800", "bad-json", "bad-json", "no-text", "too-large", "no-text", "last"]
    first = found[0]
    assert isinstance(first, Item)
    assert (first.record_key, first.address.record_id) == ("http://x/", "7")
    assert first.address.captured_at == datetime(2024, 5, 18, 1, 2, 3, tzinfo=UTC)
    only = WorkItem(url=str(tmp_path / "rows"), format="jsonl", only=frozenset({found[-1].address.record_offset}))
    assert list(read_items(only, limited(2_000))) == found[-1:]


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ("20080430204825", datetime(2008, 4, 30, 20, 48, 25, tzinfo=UTC)),
        ("2019-08-15T01:02", datetime(2019, 8, 15, 1, 2, tzinfo=UTC)),
        ("2019-08-15T01:02:03.5+02:00", datetime(2019, 8, 14, 23, 2, 3, 500_000, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+10:00", None),
        (None, None),
    ],
)
def test_times(stated: str | None, wanted: datetime | None) -> None:
    assert parse_time(stated) == wanted


def test_folders_are_searched_and_only_committed_files_count(tmp_path: Path) -> None:
    for name in ("b.txt", "sub/a.txt", "unit/listed", "unit/left-over"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    record = TableRecord(rows=1, digest="", files=(OutputFile(name="listed", rows=1, bytes=1),))
    manifest = Manifest(
        stage="crawl",
        stage_version=1,
        source="s",
        partition="p",
        fingerprint="",
        config=StageConfig().fingerprint_view(),
        inputs=(),
        tables={"crawl": record},
    )
    write_manifest(Folder(str(tmp_path / "unit")), manifest)
    (tmp_path / "sub" / "manifest.json").write_text("of the user")
    found = [Path(file.url).relative_to(tmp_path).as_posix() for file in list_inputs([str(tmp_path)] * 2, FETCH)]
    assert found == ["b.txt", "sub/a.txt", "sub/manifest.json", "unit/listed"]


def test_inputs_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no input .*/nowhere; give a file, a folder or a URL that exists"):
        list_inputs([str(tmp_path / "nowhere")], FETCH)
    with pytest.raises(InputError, match="no file in "):
        list_inputs([str(tmp_path)], FETCH)
    with pytest.raises(InputError, match="give --input PATH"):
        list_inputs([], FETCH)
