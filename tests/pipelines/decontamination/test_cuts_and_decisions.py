from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pipelines.decontamination.cuts import CutRules, Span, kept_pieces
from pipelines.decontamination.decisions import Rules, decide_document
from pipelines.decontamination.lookup import Match, Posting
from pipelines.decontamination.ngrams import CUTS, MARKS

GPT3 = CutRules(200, 200, 10)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], CutRules]:
    characters = draw(st.integers(1, 80))
    starts = draw(st.lists(st.integers(0, characters - 1), max_size=6))
    spans = [(start, draw(st.integers(start + 1, characters))) for start in starts]
    return characters, spans, CutRules(draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(1, 4)))


@given(cut_texts())
def test_pieces_are_the_runs_of_characters_that_no_window_covers(
    given_: tuple[int, list[tuple[int, int]], CutRules],
) -> None:
    characters, spans, rules = given_
    stays = "".join(
        "." if all(not (start - rules.reach <= place < end + rules.reach) for start, end in spans) else " "
        for place in range(characters)
    )
    runs, place = [], 0
    for run in stays.split(" "):
        if run:
            runs.append(Span(place, place + len(run)))
        place += len(run) + 1
    if not spans:
        assert kept_pieces(characters, spans, rules) == [Span(0, characters)]
        return
    expected = [] if len(runs) > rules.most else [run for run in runs if run.end - run.start >= rules.least]
    assert kept_pieces(characters, spans, rules) == expected


def test_two_hundred_characters_go_on_each_side_and_shorter_pieces_go_too() -> None:
    assert kept_pieces(2000, [(1000, 1060)], GPT3) == [Span(0, 800), Span(1260, 2000)]
    assert kept_pieces(2000, [(400, 460)], GPT3) == [Span(0, 200), Span(660, 2000)]
    assert kept_pieces(2000, [(399, 460)], GPT3) == [Span(660, 2000)]
    assert kept_pieces(600, [(300, 360)], GPT3) == []
    assert kept_pieces(150, [], GPT3) == [Span(0, 150)]  # what nothing was cut from is no piece


def test_a_document_in_eleven_pieces_goes_and_one_in_ten_stays() -> None:
    cuts = [(1000 * n, 1000 * n + 50) for n in range(1, 11)]
    assert len(kept_pieces(11_000, cuts[:9], GPT3)) == 10
    assert kept_pieces(11_000, cuts, GPT3) == []
    crumbs = [(500 * n, 500 * n + 50) for n in range(1, 12)]  # pieces of 50 characters count, too
    assert kept_pieces(6000, crumbs, GPT3) == []


WORDS = {"a b c": [Posting(0, 0, 0, CUTS | MARKS)], "b c d": [Posting(0, 0, 1, CUTS | MARKS), Posting(1, 1, 0, CUTS)]}
WORDS |= {"x y": [Posting(2, 2, 0, MARKS)]}


def decided(matches: Sequence[Match], common: Sequence[str] = (), characters: int = 3000, **rules):
    about = Rules(**{"cuts": GPT3, "whole": False, "share": 0.0, **rules})
    return decide_document(characters, matches, WORDS.__getitem__, [10, 3, 2].__getitem__, set(common), about)


def test_ngrams_that_cut_are_cut_and_those_that_only_mark_stay() -> None:
    found = decided([Match("a b c", 1000, 1005), Match("x y", 1100, 1103), Match("x y", 2500, 2503)])
    assert found.actions == [(Match("a b c", 1000, 1005), "cut")]
    assert not found.goes
    # The first place of `x y` is cut out with what surrounds the other one; the second stays and makes item 2 dirty.
    assert [(one.item, one.match.start, one.left) for one in found.items] == [(0, 1000, False), (2, 2500, True)]


def test_common_ngrams_stay_and_their_items_are_dirty() -> None:
    found = decided([Match("a b c", 1000, 1005)], common=["a b c"])
    assert [action for _, action in found.actions] == ["ignored"]
    assert [one.left for one in found.items] == [True]


def test_the_whole_document_goes_where_that_is_asked_for_or_nothing_is_left() -> None:
    one = [Match("a b c", 1000, 1005)]
    for found in (decided(one, whole=True), decided(one, characters=1200, cuts=CutRules(900, 200, 10))):
        assert found.goes
        assert [action for _, action in found.actions] == ["drop"]
        assert not any(item.left for item in found.items)
    assert not decided(one, common=["a b c"], whole=True).goes


def test_a_share_asks_for_so_much_of_one_item() -> None:
    both = [Match("a b c", 1000, 1005), Match("b c d", 1002, 1007)]  # 4 of the 10 words of item 0, 3 of 3 of item 1
    assert [action for _, action in decided(both[:1], share=0.3).actions] == ["cut"]
    assert [action for _, action in decided(both[:1], share=0.31).actions] == ["ignored"]
    assert [action for _, action in decided(both, share=0.4).actions] == ["cut", "cut"]
    assert [action for _, action in decided(both, share=1.0).actions] == ["ignored", "cut"]
