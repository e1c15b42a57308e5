"""Blocks of pages, and which of them are main text."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pipelines.cleaning import main_text as main_text_package
from pipelines.cleaning.extraction import extract_text
from pipelines.cleaning.html_page import parse_page
from pipelines.cleaning.main_text.element_marks import MARKS
from pipelines.cleaning.main_text.features import block_features, context_features
from pipelines.cleaning.main_text.model import kept_blocks, main_text, shipped_model
from pipelines.cleaning.main_text.page_blocks import BLOCK_TAGS, PageBlocks, page_blocks
from pipelines.cleaning.stage import STAGE_VERSION
from pipelines.sources.items import ItemError


def blocks_of(html: str) -> PageBlocks:
    return page_blocks(LexborHTMLParser(html))


def marked(blocks: PageBlocks, element: int) -> set[str]:
    return {name for place, name in enumerate(MARKS) if blocks.marks[element] >> place & 1}


def test_blocks_are_the_runs_of_text_between_block_tags() -> None:
    blocks = blocks_of(
        "<div class='Post_Body'>before <b>bold</b> &amp; <a href='/x'>a link</a>"
        "<p title='a > b'>one<br>two<script>no</script></p>after &lt;i&gt;<hr>end<!-- no --></div>"
    )
    assert blocks.texts() == ["before bold & a link", "one two", "after <i>", "end"]
    assert blocks.links.tolist() == [6 / 20, 0, 0, 0]
    assert [BLOCK_TAGS[blocks.tags[element]] for element in blocks.elements] == ["div", "p", "div", "div"]
    assert blocks.parents.tolist() == [-1, 0, 1, 1]
    assert marked(blocks, 1) == {"text"}
    assert blocks.depth == 3


@pytest.mark.parametrize(
    ("attributes", "marks"),
    [
        ("class='comment-list'", {"comment"}),
        ("id=site_nav", {"frame"}),
        ("class='ad'", {"promotion"}),
        ("class='head shadow load'", set()),
        ("role=navigation", {"frame"}),
        ("role=main", {"text"}),
        ("itemprop=articleBody", {"text", "article-body"}),
        ("style='color:red; display : none'", {"hidden"}),
        ("hidden", {"hidden"}),
        ("data-class='comment'", set()),
    ],
)
def test_marks_of_an_element(attributes: str, marks: set[str]) -> None:
    assert marked(blocks_of(f"<div {attributes}>x</div>"), 1) == marks


def test_what_the_parser_writes_without_escaping_and_what_holds_no_text() -> None:
    blocks = blocks_of(
        "<p>a<select><option>no</select>b<input>c<object>no<object>no<!--</object>--></object>no</object>d</p>"
        "<p>x<odd<name y<z>y</p><xmp>i<b &lt; <!--j--></xmp><p>k<!--[if IE]><!-->l<!--<![endif]--></p>"
    )
    assert blocks.texts() == ["abcd", "xy", "i<b &lt; <!--j-->", "kl"]


def test_the_weights_are_those_of_the_stage_version() -> None:
    """They decide what a page's text is; so whoever fits them anew raises the version and puts the digest here."""
    digest = hashlib.blake2b(files(main_text_package).joinpath("weights.json").read_bytes(), digest_size=16).hexdigest()
    assert {STAGE_VERSION: digest} == {5: "ad7253d8531942e6ff758c784c875da3"}


_TAGS = st.sampled_from(
    [
        "p",
        "/p",
        "div",
        "/div",
        "ul",
        "li",
        "/ul",
        "table",
        "td",
        "/table",
        "b",
        "/b",
        "a href=x",
        "xmp",
        "/xmp",
        "!-- x --",
        "!--",
    ]
)


@given(st.lists(st.one_of(_TAGS.map(lambda tag: f"<{tag}>"), st.text("xyz &<>\"'", max_size=8)), max_size=40))
def test_no_text_of_a_page_is_lost_or_doubled(parts: list[str]) -> None:
    html = "<body>" + "".join(parts)
    whole = LexborHTMLParser(html).body
    assert whole is not None
    blocks = blocks_of(html)
    assert "".join("".join(blocks.texts()).split()) == "".join(whole.text().split())
    assert all(-1 <= parent < number for number, parent in enumerate(blocks.parents))
    if len(blocks):
        first = block_features(blocks)
        assert first.rows.shape == (len(blocks), len(shipped_model().first))
        seen = context_features(blocks, first, np.full(len(blocks), 0.5))
        assert seen.shape == (len(blocks), len(shipped_model().second))
        assert np.isfinite(seen).all()
        assert set(main_text(blocks).split("\n")) <= {*blocks.texts(), ""}


def test_comments_captions_and_repeats_are_left_out() -> None:
    sentence = "Point {}: the committee met in the old town hall on Tuesday and spoke about the bridge. "
    paragraphs = "".join(f"<p>{sentence.format(n) * 3}</p>" for n in range(6))
    remarks = "".join(f"<li>I never liked that bridge anyway, said reader number {n}.</li>" for n in range(30))
    html = (
        f"<div id=main><article>{paragraphs}<figure>A bridge<figcaption>The bridge</figcaption></figure>"
        f"<p>{sentence.format(0) * 3}</p></article></div><ol class=comments>{remarks}</ol>"
    )
    lines = main_text(blocks_of(html)).split("\n")
    assert lines == [" ".join((sentence.format(n) * 3).split()) for n in range(6)]


def test_half_of_the_article_benchmark(shared_data: Path) -> None:
    """Word overlap with the authors' texts; the exact score is what `make bench-extraction` prints."""
    folder = shared_data / "extraction" / "aeb"
    truth = json.loads(gzip.decompress((folder / "ground-truth.json.gz").read_bytes()))
    scores = []
    for name in sorted(truth)[::2]:
        html = gzip.decompress((folder / "html" / f"{name}.html.gz").read_bytes()).decode("utf-8", "replace")
        wanted, found = set(truth[name]["articleBody"].split()), set(main_text(blocks_of(html)).split())
        both = len(wanted & found)
        scores.append(2 * both / (len(wanted) + len(found)))
    assert np.mean(scores) > 0.96


def test_hostile_nesting_is_refused_quickly() -> None:
    started = time.process_time()
    for html in ("<div>" * 400 + "x", "<div>" * 100_000 + "x", "<div>" * 60_000 + "</div>" * 60_000):
        with pytest.raises(ItemError, match="elements lie more than 250 deep"):
            extract_text(parse_page(html, 500_000, 250), "blocks")
    assert time.process_time() - started < 20


def test_a_page_without_text_has_none() -> None:
    assert kept_blocks(blocks_of(""), shipped_model()) == []
    assert main_text(blocks_of("<img src=x>")) == ""
