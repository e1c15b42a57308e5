from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.crawl.links import read_page
from pipelines.crawl.sitemaps import sitemap_entries
from pipelines.crawl.urls import canonical_url, host_of, origin_of

PAGE = "http://ex.com/dir/page.html"


def link_targets(html: bytes, charset: str | None, url: str) -> list[str]:
    return read_page(html, charset, url).targets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP://Example.COM:80/a/../b/./c#part", "http://example.com/b/c"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://bücher.example/ü?q=é", "http://xn--bcher-kva.example/%C3%BC?q=%C3%A9"),
        (" http://ex.com/a b\n ", "http://ex.com/a%20b"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("mailto:a@ex.com", None),
        ("javascript:void(0)", None),
        ("file:/usr/lib/os.py", None),
        ("http://user:secret@ex.com/", None),
        ("http://ex.com:0/", None),
        ("http://ex.com:99999/", None),
        ("http://ex.com/\x00", None),
        ("http:///path", None),
        ("", None),
    ],
)
def test_canonical_url(text: str, expected: str | None) -> None:
    assert canonical_url(text) == expected


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("x.html", "http://ex.com/dir/x.html"),
        ("../y?a=1#z", "http://ex.com/y?a=1"),
        ("//o.com/z", "http://o.com/z"),
        ("?q", "http://ex.com/dir/page.html?q"),
        ("#here", PAGE),
        ("ht\ntp://ex.com/\tb", "http://ex.com/b"),
    ],
)
def test_relative_links(link: str, expected: str) -> None:
    assert canonical_url(link, PAGE) == expected


@given(st.text(max_size=40))
def test_canonical_form_is_stable_and_nothing_is_raised(text: str) -> None:
    once = canonical_url(text, PAGE)
    if once is not None:
        assert canonical_url(once) == once
        assert origin_of(once) in once
        assert host_of(once)


def test_links_in_order_each_once() -> None:
    html = b"""<html><body><a href="b">1</a><A HREF='/a#x'>2</A><map><area href="c?d&amp;e"></map><a name="no">3</a>
    <a href="/a#y">4</a><a href="mailto:me">5</a><a href="">6</a><a href="b">7</a>
    <link href="style.css"></body></html>"""
    assert link_targets(html, None, PAGE) == ["http://ex.com/dir/b", "http://ex.com/a", "http://ex.com/dir/c?d&e"]


def test_links_behind_the_end_of_the_page_are_links() -> None:
    html = b"<html><body><a href=a>1</a></body ></HTML><p><a href=b>2</a></p></body></html>"
    assert link_targets(html, None, PAGE) == ["http://ex.com/dir/a", "http://ex.com/dir/b"]


def test_base_and_charset_are_minded() -> None:
    html = '<head><base href="/other/"></head><a href="ü">x</a>'
    assert link_targets(html.encode("latin-1"), "iso-8859-1", PAGE) == ["http://ex.com/other/%C3%BC"]
    assert link_targets(html.encode(), "utf-8", PAGE) == ["http://ex.com/other/%C3%BC"]
    assert link_targets(b'<a href="x">', "no-such-charset", PAGE) == ["http://ex.com/dir/x"]


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "utf-16", "big5", "rot13", "punycode", "nope"]))
def test_no_bytes_break_the_link_reader(html: bytes, charset: str | None) -> None:
    assert isinstance(link_targets(html, charset, PAGE), list)
    assert isinstance(sitemap_entries(html, 100).pages, list)
    assert isinstance(sitemap_entries(b"\x1f\x8b" + html, 100).pages, list)


def test_sitemap_and_sitemap_index() -> None:
    urls = (
        b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc> http://ex.com/a </loc></url></urlset>'
    )
    assert sitemap_entries(urls, 1000).pages == ["http://ex.com/a"]
    assert sitemap_entries(gzip.compress(urls), 1000).pages == ["http://ex.com/a"]
    index = b"<sitemapindex><sitemap><loc>http://ex.com/s.xml</loc></sitemap></sitemapindex>"
    assert sitemap_entries(index, 1000) == ([], ["http://ex.com/s.xml"])


def test_a_sitemap_reads_no_other_file() -> None:
    xml = b'<!DOCTYPE u [<!ENTITY x SYSTEM "file:///etc/hostname">]><urlset><url><loc>http://ex.com/&x;</loc></url></urlset>'
    assert sitemap_entries(xml, 1000).pages in ([], ["http://ex.com/"])


def test_sitemaps_of_several_members_and_plain_lines() -> None:
    whole = b"<urlset>" + b"".join(b"<url><loc>http://ex.com/%d</loc></url>" % i for i in range(300)) + b"</urlset>"
    members = gzip.compress(whole[:5000]) + gzip.compress(whole[5000:])
    assert sitemap_entries(members).pages == [f"http://ex.com/{i}" for i in range(300)]
    assert sitemap_entries(members[:-100]).pages[:100] == [f"http://ex.com/{i}" for i in range(100)]
    assert sitemap_entries(b"\xef\xbb\xbfhttp://ex.com/a\n\nno url\nhttps://ex.com/b\n").pages == [
        "http://ex.com/a",
        "https://ex.com/b",
    ]


def test_a_sitemap_has_limits() -> None:
    many = b"<urlset>" + b"".join(b"<url><loc>http://ex.com/%d</loc></url>" % i for i in range(50_010)) + b"</urlset>"
    assert len(sitemap_entries(many).pages) == 50_000
    bomb = gzip.compress(b"<urlset><url><loc>http://ex.com/a</loc></url>" + b" " * 3_000_000)
    assert sitemap_entries(bomb, 1_000_000).pages == ["http://ex.com/a"]


@pytest.mark.parametrize("charset", ["utf\0-8", "\x04", "ü", "no-such", "\ud800"])
def test_a_charset_that_is_none_does_not_matter(charset: str) -> None:
    assert read_page(b"<a href=x>y</a>", charset, "http://site.example/").targets == ["http://site.example/x"]


def test_a_sitemap_of_an_unknown_prefix_lists_nothing_more() -> None:
    sitemap = b"<urlset><url><loc>http://a.example/</loc></url><u:link><loc>http://b.example/</loc></u:link></urlset>"
    assert sitemap_entries(sitemap).pages == ["http://a.example/"]
