"""Charsets, limits and main text."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from pipelines.cleaning.charset import decode_body
from pipelines.cleaning.extraction import EXTRACTORS, extract_text
from pipelines.cleaning.html_page import HtmlPage, parse_page
from pipelines.sources.items import ItemError

KOREAN = "한국어 문서는 여기에 있습니다. 다른 문자 집합으로 저장되었습니다."


@pytest.mark.parametrize(
    ("body", "content_type", "charset"),
    [
        (b"\xef\xbb\xbf" + KOREAN.encode(), "text/html; charset=euc-kr", "utf-8"),
        (KOREAN.encode("euc-kr"), "text/html; charset=EUC-KR", "euc-kr"),
        (b'<meta charset="euc-kr">' + KOREAN.encode("euc-kr"), "text/html", "euc-kr"),
        (KOREAN.encode(), "text/html; charset=us-ascii", "utf-8"),
        (KOREAN.encode(), "text/html; charset=no-such-charset", "utf-8"),
        (KOREAN.encode(), None, "utf-8"),
        (KOREAN.encode(), "text/html; charset=iso-8859-1", "utf-8"),
        (KOREAN.encode("utf-16-le"), "text/html; charset=utf-16", "utf-16-le"),
        (f"<p>{KOREAN}</p>".encode("utf-16-be"), None, "utf-16-be"),
        (f"<meta charset=utf-16><p>{KOREAN * 20}</p>".encode("utf-16-le"), "text/html; charset=utf-8", "utf-16-le"),
        ("caf\u00e9 ".encode("latin-1") + KOREAN.encode() * 9, "text/html; charset=utf-8", "utf-8"),
        (KOREAN.encode("euc-kr") * 9, "text/html; charset=utf-8", "euc-kr"),
        (KOREAN.encode("euc-kr") * 9, None, "euc-kr"),
    ],
)
def test_charset_from_mark_header_meta_then_detection(body: bytes, content_type: str | None, charset: str) -> None:
    text, found = decode_body(body, content_type, html=True)
    assert KOREAN in text
    assert found == charset


def test_a_real_page_in_euc_kr(shared_data: Path) -> None:
    with tarfile.open(shared_data / "html" / "httpd-manual.tar.xz") as archive:
        member = next(m for m in archive if m.name.endswith("bind.html.ko.euc-kr"))
        stream = archive.extractfile(member)
        assert stream is not None
        body = stream.read()
    text, charset = decode_body(body, None, html=True)
    assert charset == "euc-kr"
    assert "아파치" in text


def _parsed(html: str) -> HtmlPage:
    return parse_page(html, 10_000, 250)


def test_limits_of_a_page() -> None:
    long = "<ul>" + "<li>x" * 5000 + "</ul>"
    assert parse_page(long, 10_000, 100).tree is not None
    with pytest.raises(ItemError, match=r"5002 tags, 5000 are allowed \(max_html_nodes\)"):
        parse_page(long, 5_000, 100)
    with pytest.raises(ItemError, match=r"elements lie more than 100 deep \(max_html_depth\)"):
        parse_page("<div>" * 100_000, 1_000_000, 100)


@pytest.mark.parametrize("extractor", list(EXTRACTORS))
def test_no_text_is_lost_below_the_depth_that_the_parser_knows(extractor: str) -> None:
    with pytest.raises(ItemError, match="elements lie more than 250 deep"):
        extract_text(_parsed("<div>" * 400 + "<p>deep words</p>" + "</div>" * 400), extractor)  # type: ignore[arg-type]


def test_pages_without_elements_or_with_nul() -> None:
    for extractor in EXTRACTORS:
        assert extract_text(parse_page("", 100, 100), extractor) == ""
    assert "after" in _parsed("<p>before\0 and after</p>").tree.text_content()


@pytest.mark.parametrize("extractor", list(EXTRACTORS))
def test_main_text(extractor: str) -> None:
    paragraph = "The committee met in the old town hall and spoke about the bridge, the river and the road. " * 3
    html = (
        "<html><head><title>t</title></head><body><nav><a href='/'>Home</a> <a href='/shop'>Shop</a></nav>"
        f"<main><article><h1>The bridge</h1><p>{paragraph}</p><p>{paragraph[::-1]}</p></article></main>"
        "<footer>Copyright, all rights reserved</footer></body></html>"
    )
    text = extract_text(_parsed(html), extractor)  # type: ignore[arg-type]
    assert "The committee met" in text
    assert "Shop" not in text


def test_an_error_of_the_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_page: HtmlPage) -> str:
        raise RecursionError("too deep for me")

    monkeypatch.setitem(EXTRACTORS, "fast", fail)
    page = _parsed("<p>x")
    with pytest.raises(ItemError, match="fast: RecursionError: too deep for me"):
        extract_text(page, "fast")


def test_metadata() -> None:
    html = (
        "<html><head><title> A  title </title><meta property='article:published_time' content='2021-03-04T10:00Z'>"
        "<link rel='license' href='https://creativecommons.org/licenses/by/4.0/'>"
        "<meta name='robots' content='NOINDEX'></head><body>x</body></html>"
    )
    facts = _parsed(html).facts()
    assert facts.title == "A title"
    assert facts.published == "2021-03-04"
    assert facts.license == "https://creativecommons.org/licenses/by/4.0/"
    assert facts.robots == "NOINDEX"
    assert _parsed("<h1>A <b>heading</b></h1>").facts().title == "A heading"
    unlike = "<a rel=licenses href=x>1</a><p rel=license href=y>"
    linked = unlike + "<a rel='nofollow LICENSE' href=' z '>2</a><link rel=license href=w>"
    assert _parsed(linked).facts().license == "z"
    assert _parsed("<meta name=date content=2021-13-04>x").facts().published is None
