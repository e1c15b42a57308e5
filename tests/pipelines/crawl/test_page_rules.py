from __future__ import annotations

import pytest

from pipelines.crawl.links import read_page
from pipelines.crawl.page_rules import PageRules, agent_name, read_rules

PAGE = "http://ex.com/dir/page"


@pytest.mark.parametrize(
    ("headers", "meta", "expected"),
    [
        ([], [], (False, False)),
        (["noindex"], [], (True, False)),
        (["NoIndex, NoFollow"], [], (True, True)),
        (["none"], [], (True, True)),
        (["noarchive", "nofollow"], [], (False, True)),
        (["corpusmill: noindex"], [], (True, False)),
        (["otherbot: noindex"], [], (False, False)),
        (["otherbot: noindex, nofollow"], [], (False, False)),
        (["otherbot: noindex, corpusmill: nofollow"], [], (False, True)),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noindex"], [], (True, False)),
        (["otherbot: max-snippet:20, noindex"], [], (False, False)),
        (["max-snippet: 20, noindex"], [], (True, False)),
        ([], [("ROBOTS", "NOINDEX,follow")], (True, False)),
        ([], [("CorpusMill", "nofollow")], (False, True)),
        ([], [("otherbot", "none"), ("description", "noindex")], (False, False)),
        (["nofollow"], [("robots", "index, follow"), ("corpusmill", "noindex")], (True, True)),
        ([], [("robots", "noindexed")], (False, False)),
    ],
)
def test_rules(headers: list[str], meta: list[tuple[str, str]], expected: tuple[bool, bool]) -> None:
    assert read_rules(headers, meta, "corpusmill") == PageRules(*expected)


def test_the_name_of_an_agent() -> None:
    assert agent_name("CorpusMill/0.1 (+https://x)") == "corpusmill"
    assert agent_name("some-bot thing") == "some-bot"


def test_links_behind_nofollow_are_counted() -> None:
    html = b"""<a href=a rel="NoFollow ugc">1</a><a href=b>2</a><a href=c rel=nofollow>3</a><a href=c>4</a>
    <link rel="canonical" href="/other"><link rel=next href=n><meta http-equiv=Refresh content="3; URL='r?x=1'">"""
    page = read_page(html, None, PAGE)
    assert page.targets == [f"http://ex.com/{path}" for path in ("dir/b", "dir/c", "other", "dir/r?x=1")]
    assert page.not_followed == 1
    assert len(read_page(html, None, PAGE, obey_nofollow=False).targets) == 5


def test_a_page_that_says_nofollow_has_no_links() -> None:
    html = b"<meta name=robots content='nofollow'><a href=a>1</a><a href=b>2</a>"
    page = read_page(html, None, PAGE)
    assert (page.targets, page.not_followed, page.rules) == ([], 2, PageRules(False, True))
    assert read_page(b"<a href=a>", None, PAGE, headers=["none"], agent="x") == ([], 1, PageRules(True, True))
    assert read_page(b"", None, PAGE, headers=["noindex"], agent="x").rules.noindex
