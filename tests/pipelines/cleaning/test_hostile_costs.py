"""Input made to cost the square of its length, or worse: it costs its length."""

from __future__ import annotations

import gzip
import io
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.gutenberg import strip_gutenberg
from pipelines.cleaning.lists.block_lists import UrlLists
from pipelines.cleaning.privacy.personal_data import replace_personal_data
from pipelines.crawl.sitemaps import sitemap_entries
from pipelines.sources.archive_scan import count_archive
from pipelines.sources.compression import open_plain
from pipelines.sources.content_codings import decode_content
from pipelines.sources.headers import parse_header_block
from pipelines.sources.inputs import InputFile
from pipelines.sources.sniffing import sniff_file
from pipelines.sources.source_format import RawInput, ReadSettings
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_lists import CleanLists
from schemas.takedown import TakedownList

# Each took minutes or years before it was mended, and takes tenths of a second.
MOST_SECONDS = 10
SETTINGS = ReadSettings.of(CleanConfig.model_validate({}))
RECORD = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 1\r\n\r\nx\r\n\r\n"


def _count(content: bytes) -> Counter[str]:
    codec = "gzip" if content.startswith(b"\x1f\x8b") else None
    file = InputFile("x", len(content), "")
    raw = RawInput(file=file, codec=codec, stream=io.BytesIO(content), settings=SETTINGS, step=2**30)
    return count_archive(raw, "warc").items


def _header(line: bytes) -> bytes:
    return RECORD.replace(b"\r\n\r\nx", b"\r\n" + line + b"\r\n\r\nx")


def _bad_check() -> int:
    packed = bytearray(gzip.compress(random.Random(1).randbytes(8 * 2**20), 1))
    packed[-6] ^= 1
    return len(decode_content(bytes(packed), "gzip", 2**25) or b"")


COSTLY: dict[str, Callable[[], object]] = {
    "blanks behind a length": lambda: _count(_header(b"Content-Length: 1" + b" " * 2**19 + b"x")),
    "carriage returns": lambda: _count(_header(b"X: " + b"\r" * 2**19 + b"x")),
    "many records in one block": lambda: _count(gzip.compress(RECORD * 2**16, 9)),
    "folded lines": lambda: parse_header_block(b"HTTP/1.1 200 OK\r\nx: y\r\n" + b" z\r\n" * 2**20),
    "blanks before a charset": lambda: decode_body(b"x", "text/html; charset=" + " " * 2**20 + ";", html=True),
    "tiny members": lambda: decode_content(gzip.compress(b"a") * 2**18, "gzip", 2**25),
    "a wrong check sum": _bad_check,
    "a sitemap of tiny members": lambda: sitemap_entries(gzip.compress(b"a") * 2**18),
    "blanks before the end of a book": lambda: strip_gutenberg(" " * 2**20 + "x"),
    "heads of tokens": lambda: replace_personal_data("eyJAAAAAAAAAA-" * 2**17),
    "labels of a host": lambda: UrlLists(CleanLists()).value("blocked-domains", f"http://{'a.' * 2**18}b/"),
    "labels of a host taken down": lambda: TakedownList(domains=("a.b",)).has_url(f"http://{'a.' * 2**18}c/"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_it_costs_its_length(name: str) -> None:
    started = time.process_time()
    COSTLY[name]()
    assert time.process_time() - started < MOST_SECONDS


@pytest.mark.parametrize(
    "start", [b"\n" * 60_000, b"<!-- a -->" * 6_000, b"<?x?>" * 12_000, b"{ " * 30_000, b"\r" * 60_000]
)
def test_files_that_begin_strangely_are_looked_at_quickly(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "page"
    path.write_bytes(start + b"<html><p>text")
    started = time.process_time()
    sniff_file(str(path), SETTINGS.fetch)
    assert time.process_time() - started < MOST_SECONDS


def test_places_of_members_are_kept_for_those_alone_who_ask() -> None:
    packed = gzip.compress(b"a\n") * 1_000
    places: dict[int, int] = {}
    assert open_plain(io.BytesIO(packed), "gzip", "x").read() == b"a\n" * 1_000
    assert open_plain(io.BytesIO(packed), "gzip", "x", places=places).read() == b"a\n" * 1_000
    assert len(places) == 1_000
