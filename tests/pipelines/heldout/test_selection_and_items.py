from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.heldout.items import (
    choice_items,
    generation_items,
    order_items,
    pair_rows,
    rewrite_items,
    without,
)
from pipelines.heldout.passages import Cut
from pipelines.heldout.selection import Piece, Selection, choose


def piece(number: int, group: str = "g", kind: str = "ending", answer: str | None = None) -> Piece:
    return Piece(Cut(kind, f"prompt {number}", answer or f"answer number {number} here"), group)


@given(
    numbers=st.lists(st.integers(0, 60), max_size=120),
    size=st.integers(0, 20),
    order=st.randoms(use_true_random=False),
)
def test_a_selection_depends_on_no_order_and_no_repeats(numbers: list[int], size: int, order: random.Random) -> None:
    pieces = [piece(number, group=str(index % 7)) for index, number in enumerate(numbers)]
    chosen = choose(pieces, size, 5, "test")
    shuffled = order.sample(pieces, k=len(pieces))
    assert chosen == choose(shuffled, size, 5, "test")
    assert len(chosen) == min(size, len(set(numbers)))
    everything = choose(pieces, 1000, 5, "test")
    assert chosen == everything[:size]
    for one in everything:
        assert one.group == min(other.group for other in pieces if other.key == one.key)


def test_memory_is_bounded_by_the_size() -> None:
    selection = Selection(10, 0, "test")
    for number in range(1000):
        selection.add(piece(number))
        assert len(selection._kept) <= 20


def test_seed_and_purpose_choose_other_pieces() -> None:
    pieces = [piece(number) for number in range(100)]
    chosen = {tuple(p.cut.prompt for p in choose(pieces, 10, seed, purpose)) for seed in (0, 1) for purpose in "ab"}
    assert len(chosen) == 4


def test_a_key_is_of_kind_prompt_and_answer() -> None:
    assert piece(1, "a").key == piece(1, "b").key
    assert len({piece(1).key, piece(2).key, piece(1, kind="opening").key, piece(1, answer="other").key}) == 4
    assert without([piece(1, "a"), piece(2)], [piece(1, "b"), piece(2, answer="other")]) == [piece(2)]


def test_wrong_answers_come_from_other_documents_first() -> None:
    mine, others = [piece(i, "mine") for i in range(5)], [piece(i, f"d{i}") for i in range(10, 13)]
    train = [piece(i, f"t{i}") for i in range(20, 24)]
    (item,) = choice_items(mine[:1], [mine + others, train], 4, seed=0)
    assert item.choices[item.answer] == "answer number 0 here"
    wrong = set(item.choices) - {"answer number 0 here"}
    assert wrong == {p.cut.answer for p in others}
    (more,) = choice_items(mine[:1], [mine + others, train], 6, seed=0)
    assert len(set(more.choices) & {p.cut.answer for p in train}) == 2
    (all_of_them,) = choice_items(mine[:1], [mine + others, train], 99, seed=0)
    assert len(all_of_them.choices) == len(set(all_of_them.choices)) == 1 + 4 + 3 + 4
    assert all_of_them.group == "mine"


def test_equal_answers_are_no_wrong_answers() -> None:
    pieces = [piece(i, f"d{i}", answer="the same") for i in range(3)]
    assert choice_items(pieces, [pieces], 4, seed=0) == []
    two = choice_items(pieces, [[*pieces, piece(9)]], 4, seed=0)
    assert [len(item.choices) for item in two] == [2, 2, 2]


def test_right_answers_stand_at_all_positions() -> None:
    pieces = [piece(i, f"d{i}") for i in range(200)]
    positions = [item.answer for item in choice_items(pieces, [pieces], 4, seed=0)]
    assert all(30 <= positions.count(place) <= 70 for place in range(4))


def test_orders_are_permutations_of_the_words() -> None:
    pieces = [Piece(Cut("continuation", "The one before\n", f"a{i} red  dog\nsees it"), f"d{i}") for i in range(20)]
    for one, item in zip(pieces, order_items(pieces, 4, seed=0), strict=True):
        assert len(set(item.choices)) == 4
        assert item.choices[item.answer] == " ".join(one.cut.answer.split())
        assert {tuple(sorted(text.split())) for text in item.choices} == {tuple(sorted(one.cut.answer.split()))}
        assert item.context == "The one before\n"
    same = Piece(Cut("continuation", "x", "no no no no"), "d")
    assert order_items([same], 4, seed=0) == []
    long = Piece(Cut("continuation", "word " * 50, "a b c d"), "d")
    assert order_items([long], 4, seed=0)[0].context == "word " * 16


def test_rewriting_offers_three_other_ways() -> None:
    pieces = [Piece(Cut("rewrite", "the old dog", "THE OLD DOG"), "d")]
    (item,) = rewrite_items(pieces, seed=0)
    assert set(item.choices) == {"the old dog", "THE OLD DOG", "the_old_dog", "god dlo eht"}
    assert item.choices[item.answer] == "THE OLD DOG"


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [("signature", "name: f\nsignature:"), ("opening", "title: f\nopening:"), ("ending", "start: f\nend:")],
)
def test_pairs_are_labelled_and_items_are_not(kind: str, prompt: str) -> None:
    one = Piece(Cut(kind, "f", "(a, b)"), "d")
    (pair,), (item,) = pair_rows([one]), generation_items([one])
    assert (pair.prompt, pair.answer, pair.group) == (prompt, "(a, b)", "d")
    assert (item.prompt, item.answers, item.group) == ("f", ("(a, b)",), "d")
