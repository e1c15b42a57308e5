"""Asking ahead never changes what a crawl comes to, and never asks for what it does not come to."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.crawl.frontier import Frontier
from pipelines.crawl.journal import Item

REDIRECTS = 2


@dataclass(frozen=True)
class Web:
    """Random pages on a few hosts: what each URL is follows from the seed and the URL."""

    seed: int
    hosts: int
    urls: int

    def kind(self, url: str) -> str:
        return random.Random(f"{self.seed} {url}").choice(["page", "page", "page", "redirect", "error", "list"])

    def found(self, url: str) -> list[str]:
        draw = random.Random(f"{self.seed} links {url}")
        return [f"http://h{draw.randrange(self.hosts)}/{draw.randrange(self.urls)}" for _ in range(draw.randrange(6))]


class Crawl:
    def __init__(self, web: Web, budget: int) -> None:
        self.web, self.budget, self.order = web, budget, list[str]()
        self.frontier = Frontier()
        self.frontier.add(Item(f"http://h{host}/0") for host in range(web.hosts))

    def settle(self) -> str:
        item = self.frontier.pop()
        self.order.append(item.url)
        kind, found = self.web.kind(item.url), self.web.found(item.url)
        if kind == "page":
            self.budget -= 1
        if kind in {"page", "list"}:
            self.frontier.add(Item(url, item.depth + 1) for url in found)
        elif kind == "redirect" and found and item.redirects < REDIRECTS:
            self.frontier.add([item._replace(url=found[0], redirects=item.redirects + 1)])
        return item.url

    def admit(self) -> list[str]:
        return [turn.item.url for turn in self.frontier.admit(self.budget, self.web.hosts, REDIRECTS)]

    def one_by_one(self) -> list[str]:
        while self.budget and self.frontier.first():
            self.settle()
        return self.order


@settings(max_examples=300)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 40), st.integers(1, 60), st.randoms())
def test_answers_in_any_order(seed: int, hosts: int, urls: int, budget: int, draw: random.Random) -> None:
    web = Web(seed, hosts, urls)
    expected = Crawl(web, budget).one_by_one()
    crawl = Crawl(web, budget)
    under_way: list[str] = []
    answered: set[str] = set()
    asked: list[str] = []
    while crawl.budget and (first := crawl.frontier.first()):
        new = crawl.admit()
        asked += new
        under_way += new
        if first.url in answered:
            answered.remove(crawl.settle())
            continue
        assert under_way, "the first in turn is always asked for"
        answered.add(under_way.pop(draw.randrange(len(under_way))))
    assert crawl.order == expected
    assert sorted(asked) == sorted(expected)
    assert not answered
    assert not under_way


def test_hosts_take_turns_and_what_is_certain_is_asked_at_once() -> None:
    frontier = Frontier()
    frontier.add(Item(f"http://a/{i}", 1) for i in range(50))
    frontier.add(Item(f"http://b/{i}", 1) for i in range(3))
    admitted = [turn.item.url for turn in frontier.admit(10, 2, 5)]
    assert admitted == [f"http://{host}/{i}" for i in range(3) for host in "ab"] + ["http://a/3", "http://a/4"]
    assert [frontier.pop().url for _ in range(7)] == [*admitted[:7]]
    assert not list(frontier.admit(1, 2, 5))  # the next page may be the last one, and it is asked for


def test_what_was_settled_without_being_asked_for_is_not_asked_for() -> None:
    frontier = Frontier()
    frontier.add([Item("http://a/1", 1), Item("http://a/2", 1)])
    assert frontier.pop().url == "http://a/1"
    assert [turn.item.url for turn in frontier.admit(5, 1, 5)] == ["http://a/2"]
