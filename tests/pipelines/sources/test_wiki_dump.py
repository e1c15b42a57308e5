"""MediaWiki dumps: what pages become, and what of a damaged dump is left."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from wiki_dumps import ARTICLE, dump, page

from pipelines.sources import census
from pipelines.sources.census import take_census
from pipelines.sources.inputs import InputFile
from pipelines.sources.items import DeadItem, Item, ItemError
from pipelines.sources.reader import read_items
from pipelines.sources.source_format import ReadSettings
from pipelines.sources.wikitext import wikitext_to_text
from schemas.configs.clean import CleanConfig

NAMES = frozenset({"file", "category", "datei", "kategorie"})
PROSE = """The Old Mill is a water mill on the Weser. It was
built\xa0in 1790 – twice.

History
See the site of the mill. It burned:
first in 1801,
then in 1802.

Owners
Nobody & somebody."""
FIVE = (
    page("Old Mill", ARTICLE, number=1, times=("2024-05-18T01:02:03Z", "2023-01-01T00:00:00Z")),
    page("Mill (old)", "#REDIRECT [[Old Mill]]", number=2, redirect="Old Mill"),
    page("Diskussion:Old Mill", "I say!", number=3, namespace=1),
    page("Style.css", "a { b: c }", number=4, model="css"),
    page("Ä? & B", "Short [[text]].", number=5),
)


def read(path: Path, content: bytes, **settings: Any) -> list[Item | DeadItem]:
    """The items of a dump; as many as are counted."""
    path.write_bytes(content)
    given = ReadSettings.of(CleanConfig.model_validate(settings))
    taken = take_census(InputFile(str(path), len(content), "now"), given)
    items = [item for piece in taken.work for item in read_items(piece, given)]
    assert taken.items.total() == len(items)
    return items


@pytest.mark.parametrize("name", ["pages.txt", "dump.html"])
@pytest.mark.parametrize("packed", ["plain", "bz2", "multistream", "two dumps"])
def test_pages_of_a_dump(tmp_path: Path, name: str, packed: str) -> None:
    whole = dump(*FIVE)
    content = {
        "plain": whole,
        "bz2": bz2.compress(whole),
        "multistream": b"".join(bz2.compress(whole[at : at + 999]) for at in range(0, len(whole), 999)),
        "two dumps": bz2.compress(dump(*FIVE[:2])) + bz2.compress(b"\xef\xbb\xbf" + dump(*FIVE[2:])),
    }[packed]
    items = [item for item in read(tmp_path / name, content) if isinstance(item, Item)]
    assert [item.refused for item in items] == [None, "wiki-redirect", "wiki-namespace", "wiki-model", None]
    first, *_, last = items
    assert first.text == PROSE
    assert (first.title, first.url, first.record_key) == (
        "Old Mill",
        "https://de.mills.example/wiki/Old_Mill",
        "https://de.mills.example/wiki/Old_Mill",
    )
    assert first.address.record_id == "1"
    assert first.address.captured_at == datetime(2024, 5, 18, 1, 2, 3, tzinfo=UTC)
    assert (last.url, last.text) == ("https://de.mills.example/wiki/%C3%84%3F_%26_B", "Short text.")


def test_namespaces_are_a_setting(tmp_path: Path) -> None:
    items = read(tmp_path / "a", dump(*FIVE), wiki_namespaces=[1])
    assert [getattr(item, "refused", "dead") for item in items if item.address.record_id == "3"] == [None]
    items = read(tmp_path / "a", dump(*FIVE), wiki_namespaces=[])
    assert [item.refused for item in items if isinstance(item, Item)] == [
        None,
        "wiki-redirect",
        None,
        "wiki-model",
        None,
    ]


def test_a_broken_page_is_dead_alone_and_a_broken_frame_takes_the_rest(tmp_path: Path) -> None:
    broken = FIVE[2].replace("</contributor>", "</contributer>")
    names = [getattr(item, "name", item.url) for item in read(tmp_path / "a", dump(*FIVE[:2], broken, FIVE[4]))]
    assert names == [
        "https://de.mills.example/wiki/Old_Mill",
        "https://de.mills.example/wiki/Mill_(old)",
        "bad-page",
        "https://de.mills.example/wiki/%C3%84%3F_%26_B",
    ]
    no_revision = "  <page>\n<title>T</title>\n</page>\n"
    huge = page("Huge", "x" * 5_000)
    found = read(tmp_path / "a", dump(no_revision, huge, FIVE[4]), max_item_bytes=4_000)
    assert [getattr(item, "name", "alive") for item in found] == ["bad-page", "too-large", "alive"]
    whole = dump(*FIVE)
    for content, cause in {
        whole[: whole.index(b"Style.css")]: "the file ends inside a page",
        whole.removesuffix(b"</mediawiki>\n"): "the file ends before the dump does",
        whole.replace(
            b"  <page>\n    <title>Style.css", b"  <pXge>\n    <title>Style.css"
        ): "stands where a page should",
        whole + b"and more": "stands where a dump should begin",
        b"<mediawiki>" + b"x" * 2_000_000: "no page follows the head of the dump",
        (bz2.compress(whole[:3000]) + bz2.compress(whole[3000:]))[:-20]: "content is cut off behind byte",
    }.items():
        *before, rest = read(tmp_path / "a", content)
        assert isinstance(rest, DeadItem), cause
        assert rest.name == "damaged-rest"
        assert cause in rest.message
        assert all(isinstance(item, Item) for item in before)


def test_a_dump_of_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "a", dump()) == []


def test_entities_do_not_grow(tmp_path: Path) -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE mediawiki [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    content = (laughs + "]>\n").encode() + dump(page("T", "x").replace(">x<", ">&i;<"))
    (item,) = read(tmp_path / "a", content)
    assert getattr(item, "name", "") == "bad-page"


def test_damaged_dumps_are_counted_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "_LEAST_PIECE_BYTES", 700)
    draw = random.Random(5)
    whole = dump(*FIVE)
    parts = whole.replace(b"  <page>", b"CUT  <page>").split(b"CUT")
    members = b"".join(map(bz2.compress, parts))
    for _ in range(400):
        at, other = draw.randrange(len(whole)), draw.randrange(len(whole))
        content = draw.choice(
            [
                whole[:at],
                whole[:at] + bytes([draw.randrange(256)]) + whole[at + 1 :],
                whole[:at] + whole[at + draw.randrange(1, 60) :],
                whole[:at] + whole[other : other + 900] + whole[at:],
                bz2.compress(whole[:at]),
                bz2.compress(whole)[: 1 + at // 4],
                members[: draw.randrange(1, len(members))],
                members[: at % len(members)] + b"\1" + members[at % len(members) + 1 :],
            ]
        )
        read(tmp_path / "a", content)


@pytest.mark.parametrize("pack", [bytes, bz2.compress, gzip.compress, lzma.compress])
def test_pieces_hold_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    pages = [page(f"P {n}", f"Text {n}.", number=n) for n in range(80)]
    head, tail = dump("PAGES").decode().split("PAGES")
    hundreds = ["".join(pages[at : at + 4]) for at in range(0, 80, 4)]
    content = b"".join(pack(part.encode()) for part in [head, *hundreds, tail])
    whole = read(tmp_path / "a", content)
    assert len(whole) == 80
    monkeypatch.setattr(census, "_LEAST_PIECE_BYTES", 1_000)
    given = ReadSettings.of(CleanConfig())
    pieces = take_census(InputFile(str(tmp_path / "a"), len(content), "now"), given).work
    assert len(pieces) > 5
    assert [item for piece in pieces for item in read_items(piece, given)] == whole


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("", ""),
        ("{{only|a template}}", ""),
        ("== Empty ==\n", ""),
        ("== A ==\n=== B ===\n== C ==\ntext", "C\ntext"),
        ("== A ==\n=== B ===\ntext", "A\nB\ntext"),
        ("'''''both''''' [[File:x.jpg|a [[nested|link]]]]!", "both !"),
        ("a<ref>{{cite|x=<b>}}</ref>b<math>x</math>", "ab"),
        ("a<ref>b<math>c", "abc"),
        ("a<ref/>b<REF name=x>c</Ref>d</ref>", "abd"),
        ("== no heading\n===\ntext ==", "== no heading\n===\ntext =="),
        ("<nowiki>[[kept]]</nowiki> 1 < 2", "[[kept]] 1 < 2"),
        (": indented\n:: more", "indented\nmore"),
        ("[[fr:Moulin]] [[:fr:Moulin]]", ":fr:Moulin"),
        ("open [[link and {{template", "open [[link and {{template"),
    ],
)
def test_wikitext(wikitext: str, text: str) -> None:
    assert wikitext_to_text(wikitext, NAMES) == text


@pytest.mark.parametrize(
    "markup",
    [
        "<b>" * 20_000,
        "<ref " * 20_000,
        "<ref>" * 200_000,
        "<b>" + "=" * 500_000 + " " * 500_000 + "x",
        "'''" * 20_000,
        "{|\n|-\n|" * 30,
        "[[a|{{b|<i>" * 45,
        "<a b='" * 20_000,
        "<!--" * 50_000,
        "\n*" * 50_000,
        "http://a " * 10_000,
        "== a ==\n" * 20_000,
        "{{a|b}} [[c|d]] " * 3_000,
        "{{a" * 50 + "}}" * 50,
    ],
    ids=lambda markup: markup[:11].replace("\n", "_"),
)
def test_hostile_wikitext_ends(markup: str) -> None:
    started = time.process_time()
    wikitext_to_text(markup, NAMES)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("markup", "name"),
    [
        ("{{" * 200, "too-deep"),
        ("[[a]]" * 60_000, "too-many-nodes"),
        ("<b>" * 20_001, "too-many-nodes"),
        ("a" * 5_000_000, "too-many-nodes"),
    ],
    ids=range(4),
)
def test_wikitext_that_is_refused_by_its_measures(markup: str, name: str) -> None:
    with pytest.raises(ItemError) as caught:
        wikitext_to_text(markup, NAMES)
    assert caught.value.name == name
