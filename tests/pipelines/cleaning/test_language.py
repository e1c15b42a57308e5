"""Languages, measured and stated."""

from __future__ import annotations

import pytest

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
