"""One normal form of text."""

from __future__ import annotations

import gzip
import re
import time
import unicodedata
from pathlib import Path

import ftfy
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cleaning import normalization as rules
from pipelines.cleaning.normalization import normalize, normalize_line


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("a\r\nb\rc\u2028d\x85e", "a\nb\nc\nd\ne"),
        ("nul\x00 and \ud800 surrogate\ufeff", "nul and surrogate"),
        ("many   spaces\tand\u00a0more", "many spaces and more"),
        ("  one  \n\n\n\n  two  ", "  one\n\n  two"),
        ("def f():\n\treturn  1", "def f():\n\treturn 1"),
        ("soft\u00adhyphen", "softhyphen"),
        ("e\u0301", "\u00e9"),
        ("\u1100\u1161", "\uac00"),
        (" \n\t ", ""),
        ("GrÃ¶ÃŸe and cafÃ©", "Größe and café"),
        ("â€œquotedâ€\x9d", "“quoted”"),
        ("l\x92École", "l’École"),
        ("Ã\x85ngstrÃ¶m", "Ångström"),  # a next-line control in the middle of a letter
        ("voilÃ\xa0 le", "voilà le"),
        ("ĐźŃ€Đ¸Đ˛ĐµŃ‚", "Привет"),  # UTF-8 read as Windows-1250
        ("Größe, Ångström, naïve café – “ok” … ½ £5", "Größe, Ångström, naïve café – “ok” … ½ £5"),
        ("SÃO PAULO, Â. ÃO", "SÃO PAULO, Â. ÃO"),
    ],
)
def test_normal_form(given_text: str, wanted: str) -> None:
    assert normalize(given_text) == wanted


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_idempotent_and_storable(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert "\x00" not in once
    assert "\r" not in once


# Characters that misread UTF-8 is made of, and what stands beside them.
_MISREAD = st.sampled_from(
    [*map(chr, range(0x20, 0x100)), *"ĂăÄąÅľŠŽžŸƒˆ˜–—‘’‚“”„†‡•…‰‹›€™РСТЌ\ufffdďż˝\n \t\x85\u2028\ud800\0Ł¤"]
)


@settings(max_examples=500)
@given(st.text(_MISREAD, max_size=40))
def test_repairs_are_idempotent_and_storable(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert not set(once) & {"\x00", "\x85", "\u2028", "\ud800"}
    assert pa.array([once]).to_pylist() == [once]


def _every_step(text: str) -> str:
    """One round of the steps, none of them left out because a look at the text says that it has nothing to do."""
    text = "\n".join(
        ftfy.fix_encoding(line) if rules._MAYBE_MISREAD.search(line) else line for line in text.split("\n")
    )
    text = rules._REMOVED.sub("", rules._LINE_END.sub("\n", text))
    text = rules._SPACE.sub(" ", unicodedata.normalize("NFC", text))
    lines = [rules._RUN_OF_SPACES.sub(" ", line.rstrip(" \t")) for line in text.split("\n")]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


@settings(max_examples=500)
@given(st.text(_MISREAD | st.sampled_from("  \n\n\t\xa0\u3000\xad\ufeffe\u0301ab"), max_size=30))
def test_steps_that_are_passed_over_would_have_changed_nothing(text: str) -> None:
    assert rules._one_round(text) == _every_step(text)
    assert normalize_line(text) == (" ".join(normalize(text).split()) or None)


def test_sentences_of_75_languages_stay_or_are_mended(shared_data: Path) -> None:
    """Of 7,500 sentences of 75 languages, 28 are damaged in the collection itself; no other one is touched."""
    with gzip.open(shared_data / "langid" / "lingua-sentences.tsv.gz", "rt", encoding="utf-8") as stream:
        sentences = [line.rstrip("\n").partition("\t")[2] for line in stream]
    plain = [unicodedata.normalize("NFC", text) for text in sentences]
    mended = [(old, new) for old, new in zip(plain, map(ftfy.fix_encoding, plain), strict=True) if old != new]
    changed = [(old, new) for old, new in zip(plain, map(_letters, plain), strict=True) if _without_spaces(old) != new]
    assert len(mended) == 28
    assert {old for old, _ in changed} >= {old for old, _ in mended}
    others = [old for old, _ in changed if old not in dict(mended)]
    assert all(_REMOVED.search(old) for old in others), others[:3]


_REMOVED = re.compile("[\x00-\x1f\x7f-\x9f\xad\ufeff]")


def _letters(text: str) -> str:
    return _without_spaces(normalize(text))


def _without_spaces(text: str) -> str:
    return "".join(text.split())


def test_long_runs_cost_their_length() -> None:
    start = time.process_time()
    for text in (
        " " * 10**6 + "a",
        "a" + " " * 10**6 + "b",
        "\n \n" * 300_000,
        "\t \t" * 300_000 + "x",
        "Ã¶" * 300_000,
    ):
        normalize(text)
    assert time.process_time() - start < 5
