from __future__ import annotations

import pytest

from pipelines.crawl.scope import Scope, trap_in_url
from schemas.configs.crawl import CrawlConfig

SEED = ("http://site.example/",)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/" + "x" * 100, "url_too_long"),
        ("/a/b/c/d/e/f", "too_many_segments"),
        ("/a/b/a/b", "repeated_segments"),
        ("//a//a//", "repeated_segments"),
        ("/a/b/c/d/e", None),
        ("/a?a/a/a/a", None),
        ("/", None),
    ],
)
def test_traps_are_told_from_the_url(path: str, expected: str | None) -> None:
    config = CrawlConfig(seed_urls=SEED, max_url_length=100, max_path_segments=5, max_segment_repeats=1)
    assert trap_in_url(f"http://site.example{path}", config) == expected


def test_refusals_in_order() -> None:
    scope = Scope(CrawlConfig(seed_urls=SEED, max_depth=2, max_query_variants=2))
    scope.hosts.add("site.example")
    asked = [("?m=1", 1), ("?m=2", 1), ("?m=3", 1), ("", 1), ("b?m=3", 2), ("b?m=4", 3), ("x/x/x/x", 1)]
    assert [scope.refusal(f"http://site.example/{path}", depth) for path, depth in asked] == [
        None,
        None,
        "links_query_variants",
        None,
        None,
        "links_too_deep",
        "links_repeated_segments",
    ]
    assert scope.refusal("http://other.example/", 1) == "links_outside"
