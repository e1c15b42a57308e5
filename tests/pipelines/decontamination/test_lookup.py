"""The search beside one that is written another way: lists of words, compared at every place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.decontamination.items import Item
from pipelines.decontamination.lookup import Lookup, Match, write_lookup
from pipelines.decontamination.ngrams import CUTS, MARKS, build_ngrams, overlap_words
from pipelines.decontamination.scan import overlaps_of
from schemas.configs.decontaminate import NgramConfig
from schemas.errors import ContractError
from schemas.storage import Folder

VOCABULARY = ["the", "The", "cat,", "sat", "on", "a", "MAT!", "--", "and", "dog"]
SMALL = NgramConfig(ngram=4, overlap_least=3, overlap_most=5, short_words=2)


def lookup_of(items: Sequence[Item], config: NgramConfig) -> Lookup:
    with tempfile.TemporaryDirectory() as temporary:
        write_lookup(Folder(temporary), build_ngrams(items, config))
        return Lookup(Folder(temporary), config.punctuation)  # the mapping outlives the name


def plain(text: str) -> list[tuple[str, int, int]]:
    """Words in lower case with letters alone, each with where its letters lie."""
    found, place = [], 0
    for part in text.split(" "):
        letters = [place + n for n, one in enumerate(part) if one.isalpha()]
        if letters:
            found.append(("".join(text[n] for n in letters).lower(), letters[0], letters[-1] + 1))
        place += len(part) + 1
    return found


def wanted_by_hand(items: Sequence[Item], config: NgramConfig) -> dict[tuple[str, ...], set[tuple[int, int]]]:
    """N-gram to (item, role bit), for items of one set without labels: all windows of question + any answer."""
    wanted: dict[tuple[str, ...], set[tuple[int, int]]] = {}
    lengths = [len(plain(" ".join([one.question, *one.answers[:1]]))) for one in items]
    marks = overlap_words(lengths, config, items[0].task)

    def add(words: list[str], length: int, item: int, bit: int) -> None:
        for place in range(len(words) - length + 1):
            wanted.setdefault(tuple(words[place : place + length]), set()).add((item, bit))

    for number, item in enumerate(items):
        wholes = [item.question, *(f"{item.question} {one}" for one in item.answers)]
        for text in [
            wholes[-1] if len(wholes) == 1 else wholes[1],
            *wholes,
            *(f"{item.question} {one}" for one in item.others),
        ]:
            words = [word for word, _, _ in plain(text)]
            add(words, config.ngram, number, CUTS)
            add(words, marks, number, MARKS)
        for text in wholes:
            words = [word for word, _, _ in plain(text)]
            if len(words) >= config.short_words:
                add(words, len(words), number, CUTS) if len(words) < config.ngram else None
                add(words, len(words), number, MARKS) if len(words) < marks else None
    return wanted


def naive_matches(text: str, wanted: dict[tuple[str, ...], set[tuple[int, int]]]) -> list[Match]:
    words = plain(text)
    found = []
    for first in range(len(words)):
        for last in range(first, len(words)):
            ngram = tuple(word for word, _, _ in words[first : last + 1])
            if ngram in wanted:
                found.append(Match(" ".join(ngram), words[first][1], words[last][2]))
    return found


phrases = st.lists(st.sampled_from(VOCABULARY), max_size=9).map(" ".join)
some_items = st.lists(
    st.builds(
        lambda question, answers, others: Item("set", "0", question, tuple(answers), tuple(others)),
        phrases,
        st.lists(phrases.filter(lambda one: one.strip("- ")), max_size=2),
        st.lists(phrases, max_size=2),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60)
@given(some_items, st.lists(st.lists(st.sampled_from(VOCABULARY), max_size=25).map(" ".join), max_size=3))
def test_it_finds_what_a_naive_search_finds(items: list[Item], texts: list[str]) -> None:
    wanted = wanted_by_hand(items, SMALL)
    lookup = lookup_of(items, SMALL)
    assert lookup.find(texts) == [sorted(naive_matches(text, wanted), key=lambda one: one[1:]) for text in texts]
    for ngram, places in wanted.items():
        bits = {(one.item, bit) for one in lookup.postings(" ".join(ngram)) for bit in (CUTS, MARKS) if one.role & bit}
        assert bits == places


SOME_WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau"
WORDS = SOME_WORDS.split()
LEAK = " ".join(WORDS[:13])


def styles() -> Iterator[tuple[str, str]]:
    yield "as it is", LEAK
    yield "upper case", LEAK.upper()
    yield "punctuation", f"«{LEAK.replace(' ', ', ')}!»"
    yield "punctuation inside words", LEAK.replace("gamma", "gam-ma").replace("delta", "del'ta")
    yield "line breaks", LEAK.replace(" ", "\n")
    yield "all sorts of white space", LEAK.replace(" ", " \t\u2003\r\n\u2028")
    yield "dashes between words", LEAK.replace(" ", " -- ")
    yield "zero-width characters", LEAK.replace("a", "a\u200b")


@pytest.mark.parametrize(("before", "after"), [("", ""), ("", " end"), ("start ", ""), ("ü 😀 " * 3000, " é" * 5000)])
@pytest.mark.parametrize("leak", [text for _, text in styles()], ids=[name for name, _ in styles()])
def test_thirteen_words_are_found_wherever_and_however_they_stand(leak: str, before: str, after: str) -> None:
    lookup = lookup_of([Item("set", "0", " ".join(WORDS))], NgramConfig())
    ((match,),) = lookup.find([before + leak + after])
    assert match.ngram == LEAK
    assert (match.start, match.end) == (
        len(before) + (1 if leak.startswith("«") else 0),
        len(before) + len(leak) - (2 if leak.endswith("»") else leak.endswith("\u200b")),
    )


def test_it_finds_nothing_across_documents_and_one_word_less() -> None:
    lookup = lookup_of([Item("set", "0", " ".join(WORDS))], NgramConfig())
    assert lookup.find([" ".join(WORDS[:7]), " ".join(WORDS[7:]), " ".join(WORDS[:12]), ""]) == [[], [], [], []]


def test_overlapping_matches_are_all_there() -> None:
    lookup = lookup_of([Item("set", "0", " ".join(WORDS))], NgramConfig())
    ((*matches,),) = lookup.find([" ".join(WORDS)])
    assert [one.ngram for one in matches] == [" ".join(WORDS[n : n + 13]) for n in range(len(WORDS) - 12)]


def test_short_items_are_found_whole_and_left_out_where_that_is_asked_for() -> None:
    items = [
        Item("set", "0", "Question: Which river is the longest?\nAnswer:", ("The Nile",), ("the Rhine",)),
        Item("set", "1", "two words"),
    ]
    texts = ["He asked: which river is the longest? THE NILE!", "two words", "which river is the longest? The Rhine."]
    config = NgramConfig(short_words=6)
    found = lookup_of(items, config).find(texts)
    assert [[one.ngram for one in matches] for matches in found] == [
        ["which river is the longest the nile"],
        [],
        [],
    ]
    assert lookup_of(items, config.model_copy(update={"short_items": "leave out"})).find(texts) == [[], [], []]
    ((question,), _, _) = lookup_of(items, NgramConfig(short_words=5)).find([texts[2], "", ""])
    assert question.ngram == "which river is the longest"


def test_equal_hashes_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word of a length is given one hash: only the comparison of the words is left."""
    from pipelines.decontamination import words as module

    monkeypatch.setattr(module, "mix64", lambda values: values * 0 + 7)
    module._values.cache_clear()
    try:
        items = [Item("set", "0", "aa bb cc dd"), Item("set", "1", "ee ff gg hh")]
        lookup = lookup_of(items, NgramConfig(ngram=4, overlap_least=4, overlap_most=4))
        found = lookup.find(["xx ee ff gg hh yy aa bb cc dd", "aa bb cc hh"])
        assert [[one.ngram for one in matches] for matches in found] == [["ee ff gg hh", "aa bb cc dd"], []]
        assert [one.item for one in lookup.postings("ee ff gg hh")] == [1]
        assert lookup.postings("aa bb cc hh") == []
    finally:
        module._values.cache_clear()


def test_n_follows_from_the_lengths_of_a_set() -> None:
    config = NgramConfig(synthetic=("arithmetic*",))
    assert overlap_words([3] * 50, config, "set") == 8
    assert overlap_words([3] * 50, config, "arithmetic_2") == 3
    assert overlap_words([1] * 50, config, "arithmetic_2") == 2
    assert overlap_words([9] + [20] * 9, config, "set") == 9  # 5% of ten lengths: the least of them
    assert overlap_words([9] + [20] * 99, config, "set") == 13  # 5% of a hundred: beyond the first
    assert overlap_words([400] * 10, config, "set") == 13


def test_a_file_that_is_damaged_or_of_other_columns_is_named(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    write_lookup(folder, build_ngrams([Item("set", "0", " ".join(WORDS))], NgramConfig()))
    whole = (tmp_path / "texts.arrow").read_bytes()
    (tmp_path / "texts.arrow").write_bytes(whole[:40])
    with pytest.raises(ContractError, match=r"texts.arrow cannot be read: .*; remove its manifest, then run"):
        Lookup(folder, "remove")
    (tmp_path / "texts.arrow").write_bytes((tmp_path / "postings.arrow").read_bytes())
    with pytest.raises(ContractError, match=r"texts.arrow has other columns than this program writes; remove its"):
        Lookup(folder, "remove")


def test_nothing_to_look_for_is_found_nowhere() -> None:
    lookup = lookup_of([Item("set", "0", "one")], NgramConfig())
    assert lookup.find(["one two three"]) == [[]]


def test_large_documents_are_searched_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.decontamination.scan._SEARCHED_CHARACTERS", 300)
    lookup = lookup_of([Item("set", "0", LEAK)], NgramConfig())
    texts = ["x " * 200, LEAK, f"{'y ' * 100}{LEAK}", "", LEAK]
    documents = pa.table({"document_id": pa.array([bytes([n]) * 16 for n in range(5)], pa.binary(16)), "text": texts})
    rows = overlaps_of(lookup, documents).to_pylist()
    assert [(row["document_id"][0], row["start"], row["characters"]) for row in rows] == [
        (1, 0, len(LEAK)),
        (2, 200, 200 + len(LEAK)),
        (4, 0, len(LEAK)),
    ]
