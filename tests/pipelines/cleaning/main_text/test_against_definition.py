"""The compiled reader and features beside their definition: equal to the last bit, whatever the page."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from block_definition import DefinedBlocks, defined_blocks
from block_features_definition import DefinedFeatures, defined_main_text
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from warcio.archiveiterator import ArchiveIterator

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.main_text.byte_automata import WHITE_SPACE
from pipelines.cleaning.main_text.features import block_features, context_features
from pipelines.cleaning.main_text.model import logistic, main_text, shipped_model
from pipelines.cleaning.main_text.page_blocks import BLOCK_TAGS, PageBlocks, page_blocks, read_blocks


def assert_equal_blocks(blocks: PageBlocks, wanted: DefinedBlocks) -> None:
    assert blocks.texts() == wanted.texts
    assert blocks.links.tolist() == wanted.links
    assert blocks.elements.tolist() == wanted.elements
    assert blocks.parents.tolist() == wanted.parents
    assert [BLOCK_TAGS[tag] for tag in blocks.tags] == wanted.tags
    assert blocks.marks.tolist() == wanted.marks
    assert blocks.depth == wanted.depth


def assert_equal(written: str) -> None:
    """Blocks, rows of both regressions and main text of what a parser wrote."""
    blocks, wanted = read_blocks(written), defined_blocks(written)
    assert_equal_blocks(blocks, wanted)
    if wanted.texts:
        features, defined = block_features(blocks), DefinedFeatures(wanted)
        assert np.array_equal(features.rows, defined.rows)
        assert features.repeats.tolist() == defined.repeats.tolist()
        likely = logistic(defined.rows @ shipped_model().first)
        assert np.array_equal(context_features(blocks, features, likely), defined.context(likely))
    assert main_text(blocks) == defined_main_text(wanted, shipped_model())


def written(html: str) -> str:
    """What the reader gets to see of a page."""
    tree = LexborHTMLParser(html)
    page_blocks(tree)  # removes what holds no text
    assert tree.body is not None
    assert isinstance(tree.body.html, str)
    return tree.body.html


_NAMES = st.sampled_from(
    ["comment-list", "Site_Nav", "ad", "KOMMENTAR", "Soc\u0130al", "boo\u212amar\u212a", "main", "share\u3000x", "a&b"]
) | st.text("abc-_AD sharenvoti\u00a0\u2003\u0130\u212a", max_size=12)
_ATTRIBUTES = st.one_of(
    *(st.tuples(st.just(name), _NAMES) for name in ("class", "id", "title", "Class", "data-id")),
    st.tuples(st.just("role"), st.sampled_from(["main", "banner", "Banner", "mainx", ""])),
    st.tuples(st.just("itemprop"), st.sampled_from(["articleBody", "ARTICLEBODY", "article", "headline"])),
    st.tuples(st.just("style"), st.sampled_from(["display : none", "display:\tnone", "dis display:none", "display:n"])),
    st.tuples(st.sampled_from(["hidden", 'x"y', "x<y", "href"]), st.sampled_from(["", "x > y", " "])),
)
_TAG_NAMES = """
p div ul li table tr td th h1 h3 article aside footer section pre blockquote figure hr main form nav body a a a b i span
br select option object button textarea xmp plaintext noembed svg template script style iframe
"""


def _opened(name: str, attributes: list[tuple[str, str]]) -> str:
    stated = "".join(f' {one}="{value}"' for one, value in attributes)
    return f"<{name}{stated}>"


_OPENED = st.builds(_opened, st.sampled_from(_TAG_NAMES.split()), st.lists(_ATTRIBUTES, max_size=3))
_CLOSED = st.sampled_from(_TAG_NAMES.split()).map(lambda name: f"</{name}>")
_ODD = st.sampled_from(
    ["<!-- x -->", "<!--", "-->", "<!-->", "<!->", "<?php x > y ?>", "<![CDATA[x]]>", "<odd<name y<z>", '<p x="', "<p"]
) | st.sampled_from(
    ["<", ">", "</", "&", "&lt;b&gt;", "&amp;nbsp;", "&nbsp;", "&#0;", "&ngt;", "&amp;amp;", "\ud7ff", "\U0010ffff"]
)
_LINES = """
The committee met in the old town hall on Tuesday and spoke about the bridge, whose arches had been weak for years.
Photo: Getty Images
東京都。
Subscribe
DON’T MISS this
CR\u00c9DIT
CLIC\u212a HERE
\u0130mage
LEA TAMB\u0130
ไทย ภาษา
IN CAPITALS
ǅ
ªº
😀!
ΑΣ
Read more
"""
_TEXTS = st.sampled_from([*_LINES.strip().split("\n"), "x" * 81, "word " * 30]) | st.text(max_size=8)
_SPACES = st.text(WHITE_SPACE, max_size=3)
_PARTS = st.lists(st.one_of(_OPENED, _OPENED, _CLOSED, _TEXTS, _TEXTS, _SPACES, _ODD), max_size=40).map("".join)


@given(_PARTS)
def test_pages_that_a_parser_wrote(html: str) -> None:
    assert_equal(written(f"<body>{html}"))


@given(_PARTS | st.text("<>/!-=\"' &;abpx", max_size=60))
def test_text_that_no_parser_would_write(html: str) -> None:
    assert_equal(f"<body>{html}")


@given(st.text("<>!-/ op", max_size=30))
def test_what_holds_no_text_and_what_is_not_escaped(inside: str) -> None:
    for tag in ("object", "xmp"):
        assert_equal(f"<body>x<{tag} a>{inside}</{tag}>y<{tag}>&lt;{inside}<{tag} ></{tag}>z</{tag}>&lt;<p>{inside}")


def test_all_white_space_is_folded_and_nothing_else_is() -> None:
    signs = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and chr(code) not in "<>&"]
    texts = [f"<p>a{sign}b{sign}" for sign in signs]
    for start in range(0, len(texts), 100_000):
        page = "<body>" + "".join(texts[start : start + 100_000])
        wanted = [" ".join(f"a{sign}b{sign}".split()) for sign in signs[start : start + 100_000]]
        assert read_blocks(page).texts() == wanted


def test_names_are_parted_by_all_white_space() -> None:
    for sign in WHITE_SPACE:
        assert_equal(f'<body><p class="x{sign}ad{sign}y{sign}">a')


def _tarred(path: Path, step: int) -> Iterator[bytes]:
    with tarfile.open(path) as archive:
        for number, member in enumerate(one for one in archive if one.isfile()):
            if number % step == 0:
                yield archive.extractfile(member).read()  # type: ignore[union-attr]


def _archived(path: Path, step: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for number, record in enumerate(ArchiveIterator(stream, arc2warc=True)):
            kind = record.http_headers.get_header("Content-Type", "") if record.http_headers else ""
            if record.rec_type == "response" and "html" in kind and number % step == 0:
                yield record.content_stream().read()


@pytest.mark.parametrize(
    "source", ["articles", "passages", "udhr", "w3c-i18n", "ipython-docs", "odd", "example.warc.gz", "example.arc.gz"]
)
def test_real_pages(shared_data: Path, source: str) -> None:
    folder = shared_data / "extraction"
    if source == "articles":
        bodies = (gzip.decompress(path.read_bytes()) for path in sorted((folder / "aeb" / "html").iterdir())[::4])
    elif source == "passages":
        bodies = _tarred(folder / "trafilatura" / "pages.tar.xz", 8)
    elif source == "odd":
        bodies = (path.read_bytes() for path in (shared_data / "html" / "odd").iterdir() if path.suffix == ".html")
    elif source.startswith("example"):
        bodies = _archived(shared_data / "warc" / "aut" / source, 12)
    else:
        bodies = _tarred(shared_data / "html" / f"{source}.tar.xz", 25)
    count = 0
    for body in bodies:
        assert_equal(written(decode_body(body, None, html=True)[0].replace("\0", "")))
        count += 1
    assert count > 5
