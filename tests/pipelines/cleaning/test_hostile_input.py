"""Input that is made to do harm: each item is refused by a measure of its own, the others stay."""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import brotli
import pytest
from backports import zstd

from pipelines.cleaning.stage import run
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.catalog import read_table
from schemas.configs.clean import CleanConfig
from schemas.corpus_root import CorpusRoot, PartitionKey

GOOD = "The miller went to the river, and the river was frozen over from bank to bank."
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><body><p>" + GOOD.encode() + b"</p></body></html>"
ZEROS = 64 * 2**20
LIMIT = 20 * 2**20
# Above what Beam, Arrow and the libraries take (some 350 MiB) room for a few items of the largest size.
MOST_MIB = 600


def packed_zeros(coding: str, num_bytes: int = ZEROS) -> bytes:
    block = bytes(2**20)
    if coding == "br":
        packer = brotli.Compressor(quality=1)
        return b"".join(packer.process(block) for _ in range(num_bytes >> 20)) + packer.finish()
    packers = {"gzip": partial(zlib.compressobj, 9, wbits=31), "bzip2": bz2.BZ2Compressor, "zstd": zstd.ZstdCompressor}
    member = packers[coding]()
    return b"".join(member.compress(block) for _ in range(num_bytes >> 20)) + member.flush()


def record(block: bytes, url: str = "http://x.example/", *, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def response(coding: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {coding}\r\n\r\n".encode() + body


def sparse(path: Path, before: bytes, hole: int, after: bytes) -> None:
    """A file with zeros inside that take no place on the disk."""
    with path.open("wb") as stream:
        stream.write(before)
        stream.seek(hole, 1)
        stream.write(after)


def hostile_folder(folder: Path) -> dict[str, str]:
    """Write the files; gives the dead letter that each must become, beside `good` items that must stay."""
    folder.mkdir()
    wanted = {}
    good = record(PAGE, "http://good.example/")
    for coding in ("gzip", "br", "zstd"):
        bomb = record(response(coding, packed_zeros(coding)))
        (folder / f"body-{coding}.warc").write_bytes(bomb + good)
        wanted[f"body-{coding}.warc"] = "too-large"
    for coding in ("gzip", "bzip2", "zstd"):
        (folder / f"file-{coding}.txt").write_bytes(packed_zeros(coding))
        wanted[f"file-{coding}.txt"] = "unknown-format"
    rows = b'{"text": "' + b"a" * ZEROS + b'"}\n' + json.dumps({"text": GOOD}).encode()
    (folder / "line.jsonl.gz").write_bytes(gzip.compress(rows, 1))
    wanted["line.jsonl.gz"] = "too-large"
    text = gzip.compress(b"word " * (LIMIT // 4))
    (folder / "long.txt").write_bytes(text)
    wanted["long.txt"] = "too-large"
    (folder / "growing.warc").write_bytes(bz2.compress(good) + packed_zeros("bzip2", 160 * 2**20))
    wanted["growing.warc"] = "damaged-rest"
    never_ends = gzip.compress(good) + gzip.compress(good * 3)[:-30]
    (folder / "never-ends.warc").write_bytes(never_ends)
    wanted["never-ends.warc"] = "damaged-rest"
    deep = b"<html><body>" + b"<div>" * 100_000 + GOOD.encode()
    (folder / "deep.html").write_bytes(deep)
    wanted["deep.html"] = "too-deep"
    (folder / "nodes.html").write_bytes(b"<html><body>" + b"<p>x</p>" * 600_000)
    wanted["nodes.html"] = "too-many-nodes"
    head = record(b"", length=2**30).removesuffix(b"\r\n\r\n")
    sparse(folder / "gigabyte.warc", head, 2**30, b"\r\n\r\n" + good)
    wanted["gigabyte.warc"] = "too-large"
    sparse(folder / "header.warc", b"WARC/1.1\r\nX: ", 2**26, b"\r\n")
    wanted["header.warc"] = "damaged-rest"
    (folder / "length.warc").write_bytes(record(PAGE, length=10**14))
    wanted["length.warc"] = "damaged-rest"
    return wanted


def clean_alone(root: Path, given: Path) -> int:
    """Clean in a process of its own; gives the most memory it ever had, in MiB."""
    code = (
        "import sys\n"
        "from flows.cli.main import main\n"
        "import atexit\n"
        "used = lambda: open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "atexit.register(lambda: print('VmHWM', used()))\n"
        "main()\n"
    )
    arguments = ["run", "clean", "--root", str(root), "--input", str(given), "--source", "web", "--partition", "one"]
    settings = ["--set", "rules=[]", "--set", "extractor=resiliparse", "--workers", "1"]
    command = [sys.executable, "-c", code, *arguments, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split("VmHWM")[1].split()[0]) // 1024


@pytest.mark.slow
def test_each_is_refused_by_its_measure_and_the_others_stay(tmp_path: Path) -> None:
    wanted = hostile_folder(tmp_path / "in")
    peak_mib = clean_alone(tmp_path / "corpus", tmp_path / "in")
    root, key = CorpusRoot(str(tmp_path / "corpus")), PartitionKey("web", "one")
    dead = {Path(row["record_file"]).name: row["error"] for row in read_table(root, "dead", key).to_pylist()}
    assert dead == wanted
    kept = read_table(root, "documents", key).to_pylist()
    repeats = [row for row in read_table(root, "dropped", key).to_pylist() if row["rules"] == ["repeat"]]
    assert {row["text"] for row in kept} == {GOOD}
    assert {Path(row["record_file"]).name for row in [*kept, *repeats]} == {
        "body-gzip.warc",
        "body-br.warc",
        "body-zstd.warc",
        "line.jsonl.gz",
        "growing.warc",
        "never-ends.warc",
        "gigabyte.warc",
    }
    assert peak_mib < MOST_MIB


def test_names_in_records_lead_nowhere(tmp_path: Path) -> None:
    names = (
        "../../escaped",
        "/escaped",
        "file:///etc/passwd",
        "..\\..\\escaped",
        "http://x.example/../..",
        "x" * 9_000,
    )
    given, root = tmp_path / "a" / "in", CorpusRoot(str(tmp_path / "a" / "corpus"))
    given.mkdir(parents=True)
    heads = (f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Filename: {n}\r\nWARC-Target-URI: {n}\r\n" for n in names)
    length = f"Content-Length: {len(PAGE)}\r\n\r\n"
    (given / "x.warc").write_bytes(b"".join((head + length).encode() + PAGE + b"\r\n\r\n" for head in heads))
    config = CleanConfig(rules=(), extractor="resiliparse")
    run(StageRequest(root=root, config=config, engine=Engine(), source="web", partition="one", inputs=(str(given),)))
    rows = read_table(root, "documents", PartitionKey("web", "one")).to_pylist()
    assert {row["url"] for row in rows} == set(names)
    outside = {path for path in tmp_path.rglob("*") if path.is_file() and Path(root.url) not in path.parents}
    assert outside == {given / "x.warc"}
