"""Automata of bytes beside searches for strings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.main_text.byte_automata import LOWER_CASE, WHITE_SPACE, ByteAutomata, WordList, build

_WORDS = st.dictionaries(st.text("abki-é", min_size=1, max_size=4), st.integers(1, 7), min_size=1, max_size=6)
_TEXTS = st.text("abkiABKI-_éÉ\u212a\u0130\u0307x😀", max_size=12)


def _found(automata: ByteAutomata, which: int, text: str) -> tuple[int, int]:
    """Bits of the words that were met, and those at the end."""
    state, met = int(automata.roots[which]), 0
    for byte in text.encode():
        state = int(automata.moves[state + int(automata.classes[which, byte])])
        met |= int(automata.moves[state])
    return met, int(automata.moves[state])


def either(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


@given(_WORDS, _WORDS, _TEXTS)
def test_words_are_found_where_they_are(words: dict[str, int], others: dict[str, int], text: str) -> None:
    anywhere = WordList(words, anywhere=True, same={**LOWER_CASE, ord("_"): ord("-")})
    whole = WordList(others, anywhere=False, same={})
    start = WordList(words, anywhere=False, same=LOWER_CASE)
    automata = build(anywhere, whole, start)
    lowered = text.lower()
    spelled = lowered.replace("_", "-")
    assert _found(automata, 0, text)[0] == either(bit for word, bit in words.items() if word in spelled)
    assert _found(automata, 1, text)[1] == others.get(text, 0)
    assert _found(automata, 2, text)[0] == either(bit for word, bit in words.items() if lowered.startswith(word))


def test_white_space_and_letters_with_a_lower_case_in_ascii_are_all_there() -> None:
    signs = [chr(code) for code in range(0x110000)]
    assert set(WHITE_SPACE) == {sign for sign in signs if sign.isspace()}
    lowered = {sign: sign.lower() for sign in signs if sign > "\x7f"}
    assert {sign for sign, lower in lowered.items() if any(one < "\x80" for one in lower)} == {"\u212a", "\u0130"}
    assert [sign for sign in signs if len(sign.lower()) != 1] == ["\u0130"]
    assert [sign for sign, lower in lowered.items() if lower == "é" != sign] == ["É"]
