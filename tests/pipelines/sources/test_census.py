"""Two passes that share no code must count the same items, in whole files and in damaged ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from fastwarc.warc import ArchiveIterator, conversion, resource, response, revisit

from pipelines.sources import census
from pipelines.sources.census import FileCensus, take_census
from pipelines.sources.inputs import InputFile, list_inputs
from pipelines.sources.items import DeadItem, Item
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from schemas.configs.clean import CleanConfig

SETTINGS = ReadSettings.of(CleanConfig())


def census_of(file: InputFile) -> FileCensus:
    return take_census(file, SETTINGS)


def files_in(*given: Path) -> list[InputFile]:
    return list_inputs(map(str, given), SETTINGS.fetch)


def items_of(taken: FileCensus) -> list[Item | DeadItem]:
    return [item for piece in taken.work for item in read_items(piece, SETTINGS)]


def test_every_archive_at_hand(shared_data: Path) -> None:
    for file in files_in(shared_data / "warc"):
        taken = census_of(file)
        found = items_of(taken)
        assert taken.items.total() == len(found), file.url
        if taken.work[0].format == "warc" and not taken.items["rest"]:
            with Path(file.url).open("rb") as stream:
                kinds = ArchiveIterator(stream, record_types=response | resource | conversion | revisit)
                assert taken.items.total() == sum(1 for _ in kinds), file.url


def test_pieces_of_an_archive_hold_its_items(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_LEAST_PIECE_BYTES", 2_000)
    for name in ("aut/example.warc.gz", "aut/example.arc.gz", "aut/issue-493.warc"):
        (file,) = files_in(shared_data / "warc" / name)
        taken = census_of(file)
        (whole,) = census_of(InputFile(file.url, 64 * 10**9, file.stamp)).work
        assert len(taken.work) > 5
        assert items_of(taken) == list(read_items(whole, SETTINGS))


def _seeds(shared_data: Path) -> list[bytes]:
    names = ("warcio/example.warc", "warcio/example.warc.gz", "warcio/example.arc.gz", "aut/badexample.arc.gz")
    archives = [(shared_data / "warc" / name).read_bytes() for name in names]
    rows = b"\n".join(b'{"text": "row %d", "id": %d}' % (n, n) for n in range(200)) + b"\n\n  \n"
    framed = b"".join(zstd.compress(archives[0][at : at + 700]) for at in range(0, len(archives[0]), 700))
    packed = [gzip.compress(rows), bz2.compress(archives[0]), lzma.compress(rows), framed]
    return [*archives, gzip.decompress(archives[2]), rows, *packed]


def _damage(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    other = draw.randrange(len(data))
    return draw.choice(
        [
            data[:at],
            data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :],
            data[:at] + draw.randbytes(draw.randrange(1, 20)) + data[at:],
            data[:at] + data[at + draw.randrange(1, 50) :],
            data[:at] + data[other : other + 2000] + data[at:],
            data + bytes(draw.choices([0, 10, 13, 65], k=500)),
        ]
    )


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files(shared_data: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_LEAST_PIECE_BYTES", 200 if seed else 10**9)
    draw = random.Random(seed)
    seeds = _seeds(shared_data)
    path = tmp_path / "damaged"
    for _ in range(250):
        data = _damage(draw.choice(seeds), draw)
        path.write_bytes(data)
        taken = census_of(InputFile(str(path), len(data), "now"))
        assert taken.items.total() == len(items_of(taken)), data[:2000]


def test_compression_and_cutting_do_not_change_the_bytes_counted(tmp_path: Path) -> None:
    rows = [b'{"text": "row %d"}\n' % n for n in range(100)]
    for name, data in {
        "plain": b"".join(rows),
        "packed": gzip.compress(b"".join(rows)),
        "a": b"".join(rows[:30]),
        "b": b"".join(rows[30:]),
    }.items():
        (tmp_path / name).write_bytes(data)
    bytes_of = {name: census_of(*files_in(tmp_path / name)).payload_bytes for name in "ab"}
    for name in ("plain", "packed"):
        assert census_of(*files_in(tmp_path / name)).payload_bytes == sum(bytes_of.values())


def test_parquet_rows_and_what_is_no_corpus(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", None, "ccc"], "id": [1, 2, 3]}), tmp_path / "rows", row_group_size=2)
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "other")
    (tmp_path / "broken").write_bytes(b"PAR1 and no footer")
    taken = {Path(file.url).name: census_of(file) for file in files_in(tmp_path)}
    found = {name: items_of(one) for name, one in taken.items()}
    assert {name: one.items.total() for name, one in taken.items()} == {"rows": 3, "other": 1, "broken": 1}
    assert [getattr(item, "text", None) for item in found["rows"]] == ["a", None, "ccc"]
    dead = [item for items in found.values() for item in items if isinstance(item, DeadItem)]
    assert sorted(item.name for item in dead) == ["damaged-file", "no-text", "no-text"]
