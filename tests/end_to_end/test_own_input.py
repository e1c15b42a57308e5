"""`CORPUS_INPUT`: the chain on a user's own folder, odd files and all, and on one with next to nothing in it."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.catalog import read_table, units
from schemas.corpus_root import CorpusRoot

pytestmark = pytest.mark.slow

# The smallest whole JPEG: one grey pixel.
JPEG = base64.b64decode(
    "/9j/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/yQALCAABAAEBAREA/8wABgAQ"
    "EAX/2gAIAQEAAD8A0s8g/9k="
)
GOOD_PAGES = 40


def pages(archive: Path, wanted: Callable[[str], bool], count: int) -> list[bytes]:
    """The first pages of a tar file whose names are wanted."""
    found = []
    with tarfile.open(archive) as opened:
        for member in sorted(opened.getmembers(), key=lambda one: one.name):
            if member.isfile() and wanted(member.name) and len(found) < count:
                stream = opened.extractfile(member)
                assert stream is not None
                found.append(stream.read())
    assert len(found) == count
    return found


@pytest.fixture(scope="module")
def folder(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty good pages, five odd files, and WARC files as other crawlers write them."""
    folder = tmp_path_factory.mktemp("own") / "my pages"
    folder.mkdir()
    for number, page in enumerate(pages(shared_data / "html/git-htmldocs.tar.xz", lambda name: True, GOOD_PAGES)):
        (folder / f"good-{number}.html").write_bytes(page)
    (folder / "empty.html").write_bytes(b"")
    (folder / "photo.html").write_bytes(JPEG)
    (folder / "one-line.txt").write_bytes(b"all in one line " * (50 * 2**20 // 16))
    korean = pages(shared_data / "html/httpd-manual.tar.xz", lambda name: ".ko.euc-kr" in name, 1)
    (folder / "korean.html").write_bytes(korean[0])
    whole = (shared_data / "warc/aut/example.warc.gz").read_bytes()
    (folder / "cut.warc.gz").write_bytes(whole[: len(whole) // 10])
    for name in ("warcio/example.warc.gz", "warcio/example.arc.gz", "aut/issue-493.warc"):
        shutil.copyfile(shared_data / "warc" / name, folder / Path(name).name)
    return folder


@pytest.fixture(scope="module")
def own(folder: Path, make_demo: Callable):
    """The chain, run on that folder."""
    demo = make_demo(given=str(folder))
    ended = demo.run()
    assert ended.code == 0, f"{ended.out}\n{ended.err}"
    return demo, ended


@pytest.fixture(scope="module")
def rows(own) -> dict[str, dict[str, list[dict]]]:
    """Rows of all tables of clean, by the name of their file and by table."""
    root = CorpusRoot(str(own[0].root))
    found: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for table in ("documents", "dropped", "dead"):
        for key in units(root, table):
            for row in read_table(root, table, key).to_pylist():
                found[row["record_file"].rpartition("/")[2]][table].append(row)
    return found


def test_every_file_is_accounted_for(rows, folder: Path):
    assert set(rows) == {path.name for path in folder.iterdir()}


def test_good_pages_stay(rows):
    kept = [name for name, tables in rows.items() if name.startswith("good-") and tables["documents"]]
    assert len(kept) >= GOOD_PAGES * 0.9


@pytest.mark.parametrize("name", ["empty.html", "photo.html", "one-line.txt"])
def test_what_is_no_page_has_a_reason(name: str, rows):
    (table,) = [table for table, found in rows[name].items() if found]
    (row,) = rows[name][table]
    assert table in {"dead", "dropped"}
    assert row["error"] if table == "dead" else row["rules"]


def test_a_truncated_file_gives_all_that_comes_before_the_cut(rows):
    tables = rows["cut.warc.gz"]
    assert len(tables["documents"]) + len(tables["dropped"]) >= 5
    (dead,) = tables["dead"]
    assert dead["error"]
    assert dead["message"]


def test_another_charset_is_read(rows):
    ((row,),) = [found for found in rows["korean.html"].values() if found]
    assert row["charset"].lower().replace("-", "") in {"euckr", "cp949", "windows949", "uhc"}
    assert re.search(r"[가-힣]", row.get("text") or row["title"])


def test_the_chain_goes_on_to_its_report(own):
    demo, ended = own
    assert "left out" not in ended.out
    assert demo.summary()["loss"] is not None
    assert (demo.root / "report.html").stat().st_size > 10_000


def test_next_to_nothing_ends_well_too(make_demo: Callable, tmp_path: Path):
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "note.txt").write_text("Three words only.\n")
    (tmp_path / "few" / "page.html.gz").write_bytes(gzip.compress(b"<p>Hello</p>"))
    demo = make_demo(given=str(tmp_path / "few"))
    ended = demo.run()
    assert ended.code == 0, ended.err
    assert re.search(r"tokenizer +left out: no kept training documents", ended.out)
    assert re.search(r"pretrain +left out: there is nothing to train on", ended.out)
    assert re.search(r"report +[\d.]+ s", ended.out)
    assert demo.summary()["loss"] is None
    assert (demo.root / "report.html").exists()
