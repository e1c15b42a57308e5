"""Languages, measured and stated."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

from pipelines.cleaning.langid_walk import load_identifier
from pipelines.cleaning.language import Identifier, stated_language


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The committee met in the old town hall and spoke about the bridge.", "en"),
        ("Der Ausschuss traf sich im alten Rathaus und sprach über die Brücke.", "de"),
        ("위원회는 오래된 시청에서 만나 다리에 대해 이야기했다.", "ko"),
    ],
)
def test_languages(identifier: Identifier, text: str, language: str) -> None:
    found, score = identifier.identify(text)
    assert found == language
    assert score > 0.65
    assert score == round(score, 4)


def test_single_sentences_of_75_languages(identifier: Identifier, shared_data: Path) -> None:
    with gzip.open(shared_data / "langid" / "lingua-sentences.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t", 1) for line in stream][::5]
    found = [identifier.identify(text)[0] for _, text in rows]
    right = sum(a == b or (b, a) == ("nb", "no") for a, (b, _) in zip(found, rows, strict=True))
    assert right / len(rows) > 0.945
    # Unknown to the first identifier.
    for language in ("tn", "ts", "mi"):
        own = [a == language for a, (b, _) in zip(found, rows, strict=True) if b == language]
        assert sum(own) > 0.8 * len(own)


@given(st.text(max_size=200))
def test_any_text_has_a_language_and_a_probability_or_none(identifier: Identifier, text: str) -> None:
    language, score = identifier.identify(text)
    assert (language is None) == (not any(map(str.isalpha, text)))
    assert 0 <= score <= 1
    assert identifier.identify(text) == (language, score)


def test_the_walk_gives_what_the_library_gives(shared_data: Path) -> None:
    """Bit for bit: the features are those that its automaton finds, in the order in which it finds them."""
    theirs, ours = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True), load_identifier()
    with gzip.open(shared_data / "langid" / "lingua-sentences.tsv.gz", "rt", encoding="utf-8") as stream:
        sentences = [line.rstrip("\n").split("\t", 1)[1] for line in stream]
    pages = [" ".join(sentences[start : start + 20]) for start in range(0, len(sentences), 150)]
    for text in [*sentences[::11], *pages, "", "a", "ab", "1234", "東"]:
        assert ours.rank(text) == theirs.rank(text)


@given(st.text(max_size=60))
def test_the_walk_gives_what_the_library_gives_for_any_text(identifier: Identifier, text: str) -> None:
    theirs = visit_counts(
        identifier._model.tk_nextmove, identifier._model._rowbase, identifier._model.tk_output, _utf8(text)
    )
    wanted = identifier._model._sparse_score(theirs, identifier._model.nb_ptc) if theirs else None
    found = identifier._model._raw_score(_utf8(text))
    assert np.array_equal(found, wanted) if wanted is not None else not found.any()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def test_no_letters_no_language(identifier: Identifier) -> None:
    assert identifier.identify("12 + 3 = 15") == (None, 0.0)


def test_the_top_of_a_page_does_not_decide_alone(identifier: Identifier) -> None:
    page = (
        "Home Login Search Help " * 30 + "Der Ausschuss traf sich im alten Rathaus und sprach über die Brücke. " * 200
    )
    assert identifier.identify(page)[0] == "de"


@pytest.mark.parametrize(
    ("stated", "code"),
    [("en-US", "en"), ("eng_Latn", "eng"), ("DE", "de"), ("unknown", None), ("", None), (None, None)],
)
def test_stated_languages(stated: str | None, code: str | None) -> None:
    assert stated_language(stated) == code
