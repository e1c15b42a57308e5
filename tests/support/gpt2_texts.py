"""Texts on which encoders are compared: what lies in the test data, all of Unicode, noise, and runs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
import tarfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

_OPENERS = {".gz": gzip.decompress, ".xz": lzma.decompress, ".bz2": bz2.decompress}


def _members(path: Path) -> Iterator[bytes]:
    if ".tar" in path.suffixes:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield archive.extractfile(member).read()  # type: ignore[union-attr]
        return
    data = path.read_bytes()
    opener = _OPENERS.get(path.suffix)
    try:
        yield opener(data) if opener else data
    except (OSError, EOFError):  # damaged on purpose
        yield data


def data_texts(shared_data: Path, every: int = 1) -> Iterator[str]:
    """Every file of the test data as text, archives unpacked; of HTML and WARC files one in `every`."""
    count = 0
    for path in sorted(shared_data.rglob("*")):
        if not path.is_file():
            continue
        for data in _members(path):
            page = path.relative_to(shared_data).parts[0] in {"html", "extraction", "warc"}
            count += page
            if not page or count % every == 0:
                yield data.decode("utf-8", errors="replace")


def unicode_texts() -> Iterator[str]:
    """All assigned code points but surrogates: one after another, each after a space, and each between letters."""
    points = [chr(n) for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)) not in {"Cn", "Cs"}]
    for start in range(0, len(points), 4096):
        part = points[start : start + 4096]
        yield "".join(part)
        yield " ".join(part)
        yield "".join(f"a{point}b" for point in part)


def noise_texts() -> Iterator[str]:
    """Random bytes, as text in two ways."""
    draw = random.Random(0)
    for size in (1, 7, 100, 5000, 100_000):
        data = draw.randbytes(size)
        yield data.decode("utf-8", errors="replace")
        yield data.decode("latin-1")


def run_texts() -> Iterator[str]:
    """A million spaces, a word of a megabyte, and other runs."""
    draw = random.Random(1)
    yield " " * 1_000_000
    yield " " * 1_000_000 + "x"
    yield "a" * 1_000_000
    yield "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=1_000_000))
    yield "\n" * 20_000 + "\t" * 20_000
    yield "0123456789" * 4_000
    yield "!?" * 10_000
    yield "日本語" * 10_000
    yield "<|endoftext|>" * 2_000
    yield "'s" * 10_000
