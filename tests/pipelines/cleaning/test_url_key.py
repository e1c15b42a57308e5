"""Canonical URLs."""

from __future__ import annotations

import pytest

from pipelines.cleaning.url_key import url_key


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTPS://www.Example.org:443/a/?q=1#part", "http://example.org/a?q=1"),
        ("http://example.org:8080/", "http://example.org:8080"),
        ("http://example.org/A/b", "http://example.org/A/b"),
        ("urn:isbn:0451450523", None),
        ("http://[broken", None),
        ("http://example.org:port/", None),
        ("", None),
        (None, None),
    ],
)
def test_url_key(url: str | None, wanted: str | None) -> None:
    assert url_key(url) == wanted
