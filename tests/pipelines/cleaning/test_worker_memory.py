"""What a worker of `clean` takes: bounded by the settings, whatever the size of a file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.configs.clean import CleanConfig

_PAGE = b"<p>" + "The committee met in the old town hall – and spoke about the bridge.".encode() * 4
_IMAGE = bytes(range(256)) * 2**13
_MEBIBYTE = 2**20


def _record(kind: str, url: str, body: bytes) -> bytes:
    """A response as one gzip member; warcio leaves the temporary files of such large ones open."""
    http = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body
    header = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(http)}\r\n\r\n"
    return gzip.compress(header.encode() + http + b"\r\n\r\n", 1)


def _write(path: Path, copies: int) -> int:
    """Images of 2 MiB, and a page of 1 MiB behind every other one; gives the plain bytes."""
    page = _PAGE * (_MEBIBYTE // len(_PAGE))
    with path.open("wb") as stream:
        for number in range(copies):
            stream.write(_record("image/png", f"http://a.example/{number}.png", _IMAGE))
            if number % 2:
                stream.write(_record("text/html", f"http://a.example/{number}", page))
    return copies * len(_IMAGE) + copies // 2 * len(page)


def _peak_bytes(given: Path, root: Path) -> int:
    words = [sys.executable, "-m", "flows.cli", "run", "clean", "--input", str(given), "--root", str(root), "--json"]
    words += ["--source", "s", "--partition", "p", "--workers", "1", "--set", "rules=[]"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    unit = json.loads(done.stdout.splitlines()[-1])["units"][0]
    return int(unit["peak_rss_bytes"])


@pytest.mark.slow
def test_a_large_file_takes_little(tmp_path: Path) -> None:
    assert _write(tmp_path / "large.warc.gz", 48) > 115 * _MEBIBYTE
    assert _peak_bytes(tmp_path / "large.warc.gz", tmp_path / "root") < CleanConfig().worker_memory_bytes / 2


@pytest.mark.slow
def test_the_dearest_page_fits(tmp_path: Path) -> None:
    body = b"<p>x\xc3\xa9 " * (CleanConfig().max_html_nodes - 10)
    (tmp_path / "page.html").write_bytes(b"<!doctype html><body>" + body)
    peak = _peak_bytes(tmp_path / "page.html", tmp_path / "root")
    assert CleanConfig().worker_memory_bytes / 2 < peak < CleanConfig().worker_memory_bytes
