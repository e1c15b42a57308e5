"""Plain content behind compression, and what it is told to be."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from backports import zstd

from pipelines.sources.compression import GzipMembers, codec_of, open_plain
from pipelines.sources.items import DamagedInputError
from pipelines.sources.sniffing import sniff_file
from schemas.configs.sources import FetchConfig
from schemas.errors import InputError

TEXT = b"".join(b"line %d of some text\n" % n for n in range(20_000))


def zstd_compress(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)  # type: ignore[no-any-return]


PACKERS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress, zstd_compress]


@pytest.mark.parametrize("pack", PACKERS)
def test_all_members_are_read(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TEXT) + pack(b"and more")
    assert open_plain(io.BytesIO(packed), codec_of(packed), "x").read() == TEXT + b"and more"


@pytest.mark.parametrize("pack", PACKERS)
def test_a_cut_off_file_is_damaged(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TEXT)[:-7]
    with pytest.raises(DamagedInputError):
        open_plain(io.BytesIO(packed), codec_of(packed), "x").read()


@pytest.mark.parametrize("pack", PACKERS)
def test_of_a_cut_off_file_all_members_before_come_out(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"whole") + pack(TEXT)[:-9]
    plain = open_plain(io.BytesIO(packed), codec_of(packed), "x")
    got: list[bytes] = []
    with pytest.raises(DamagedInputError, match=r"cut off|is damaged"):
        got.extend(iter(lambda: plain.read1(4096), b""))
    assert b"".join(got).startswith(b"whole")


@pytest.mark.parametrize("pack", PACKERS)
def test_padding_is_no_member(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TEXT) + b"\0" * 100_000
    assert open_plain(io.BytesIO(packed), codec_of(packed), "x").read() == TEXT


@pytest.mark.parametrize("pack", [bz2.compress, zstd_compress])
def test_a_bomb_is_no_text(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"\0" * 200_000_000)
    plain = open_plain(io.BytesIO(packed), codec_of(packed), "x")
    sizes: list[int] = []
    with pytest.raises(DamagedInputError, match=r"bytes of (bzip2|zstd) grow to more than \d+: a decompression bomb"):
        sizes.extend(map(len, iter(lambda: plain.read1(2**20), b"")))
    assert 64 * 2**20 < sum(sizes) < 160 * 2**20


@pytest.mark.parametrize("packed_dictionary", [True, False])
def test_a_dictionary_in_front(packed_dictionary: bool) -> None:
    records = [b"WARC/1.1\r\nWARC-Type: response\r\nrecord number %d of many\r\n" % n for n in range(2000)]
    trained = zstd.train_dict(records, 4_000)
    content = zstd.compress(trained.dict_content) if packed_dictionary else trained.dict_content
    front = b"\x5d\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content
    packed = front + b"".join(zstd.compress(one, zstd_dict=trained) for one in records)
    assert codec_of(packed) == "zstd"
    assert open_plain(io.BytesIO(packed), "zstd", "x").read() == b"".join(records)
    with pytest.raises(DamagedInputError, match="the zstd content is damaged"):
        open_plain(io.BytesIO(packed[len(front) :]), "zstd", "x").read()
    for broken, cause in {
        b"\x5d\x2a\x4d\x18\xff\xff\xff\xff": "a Zstandard dictionary of 4294967295 bytes; 16777216 are allowed",
        front[:8] + b"\x28\xb5\x2f\xfd" + b"\xff" * len(front): "the Zstandard dictionary at the beginning is",
    }.items():
        with pytest.raises(DamagedInputError, match=cause):
            open_plain(io.BytesIO(broken), "zstd", "x").read()


def test_members_are_known_by_their_place() -> None:
    first, second = gzip.compress(b"one"), gzip.compress(b"second")
    places: dict[int, int] = {}
    members = GzipMembers(io.BytesIO(first + second + b"\0" * 9), places=places)
    assert io.BufferedReader(members).read() == b"onesecond"
    assert places == {0: 0, 3: len(first)}


def test_all_before_the_damage_comes_out() -> None:
    whole, broken = gzip.compress(b"whole"), bytearray(gzip.compress(TEXT))
    broken[len(broken) // 2] ^= 255
    plain = open_plain(io.BytesIO(whole + broken), "gzip", "x")
    got: list[bytes] = []
    with pytest.raises(DamagedInputError, match=f"the gzip member that begins at byte {len(whole)} is"):
        got.extend(iter(lambda: plain.read1(4096), b""))
    assert got[0] == b"whole"
    assert b"".join(got[1:]).startswith(TEXT[:1000])


def test_a_file_that_fails_is_not_called_damaged() -> None:
    class Failing(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError("disk on fire")

    with pytest.raises(InputError, match="cannot read x: disk on fire"):
        open_plain(Failing(), "bzip2", "x").read()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"WARC/1.0\r\n", "warc"),
        (b"filedesc://x 0.0.0.0 20080430204825 text/plain 73\n", "arc"),
        (b"PAR1....", "parquet"),
        (b'\xef\xbb\xbf{"text": "a"}\n', "jsonl"),
        (b" <!-- hello -->\n<!DOCTYPE html>", "html"),
        (b'<?xml version="1.0"?><html xmlns="x">', "html"),
        ("\ufeff<html>".encode("utf-16-le"), "html"),
        ("<html><p>안녕하세요".encode("utf-16-be"), "html"),  # without a mark
        (b"<html><p>one\0two" + b" words" * 500 + b"\0\0", "html"),
        (b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0!\xf9\4\1\0\0\0\0,", "unknown"),
        (b"dir/" * 20 + bytes(20) + b"0000644" + b"words " * 20_000, "unknown"),  # a tar of texts
        (b"\n" * 60_000 + b"<html>", "html"),  # 2^60,000 ways to take the empty lines
        (b"<!-- a -->" * 6_000 + b"<?x?>", "unknown"),
        (b"# A heading\n\nMarkdown.", "text"),
        ("안녕하세요".encode("euc-kr"), "text"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "unknown"),
        (b"", "unknown"),
        (b" \n ", "unknown"),
        (b'<?xml version="1.0"?><rss>', "unknown"),
        (b'<mediawiki xmlns="x" version="0.11">', "wiki-dump"),
        (b'{\n  "pretty": 1\n}', "unknown"),
        # What many ways of cutting it up would take forever to give up on.
        (b"\n" * 500 + b"<html>", "html"),
        (b"<!-- - -->" * 500 + b"<html>", "html"),
        (b"<!-- - -->\n\n<?x?>" * 500 + b"<mediawiki>", "wiki-dump"),
    ],
)
@pytest.mark.parametrize("name", ["a.html", "b.warc.gz"])
def test_content_decides_not_the_name(tmp_path: Path, content: bytes, wanted: str, name: str) -> None:
    path = tmp_path / name
    for data in [content, gzip.compress(content)]:
        path.write_bytes(data)
        sniffed = sniff_file(str(path), FetchConfig())
        assert (sniffed.format.name if sniffed.format else "unknown") == wanted
        assert (sniffed.problem is None) == (wanted != "unknown")
