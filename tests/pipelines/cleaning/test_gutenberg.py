"""What Project Gutenberg puts around books goes, in every form it has had; books themselves stay as they are."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cleaning.extraction import EXTRACTORS, Extractor, extract_text
from pipelines.cleaning.gutenberg import strip_gutenberg
from pipelines.cleaning.html_page import parse_page
from pipelines.cleaning.normalization import normalize
from pipelines.cleaning.rules import evaluate
from schemas.configs.clean import CleanConfig

BOOK = "CHAPTER I\n\nThe miller rose before the sun.\n\nHe was never late.\n\nTHE END"
HEAD = "The Project Gutenberg eBook of The Mill\n\nThis eBook is for the use of anyone anywhere.\n\nTitle: The Mill\n\n"
SMALL_PRINT = "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this small print here?\n"
OLD = f"**Welcome To The World of Free Plain Vanilla Electronic Texts**\n\n{SMALL_PRINT}"
BY = "End of Project Gutenberg's The Mill, by X"
LICENCE = "\n\nUpdated editions will replace the previous one.\nSection 1. General terms of use"


def star(kind: str, what: str = "EBOOK THE MILL", the: str = "THE", before: str = "*** ", after: str = " ***") -> str:
    return f"{before}{kind} OF {the} PROJECT GUTENBERG {what}{after}"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"{HEAD}{star('START')}\n\n{BOOK}\n\n{star('END')}{LICENCE}", 2),
        (f"{HEAD}{star('START', the='THIS')}\n{BOOK}\n{star('END', the='THIS')}{LICENCE}", 2),
        (f"{HEAD}{star('START', before='***', after='***')}\n{BOOK}\n{star('END', before='***', after='***')}", 2),
        (f"{HEAD}{star('START', 'E-BOOK THE MILL')}\n{BOOK}\n{star('END', 'ETEXT THE MILL')}", 2),
        (f"{HEAD}{star('START', before=chr(92) + '*' + chr(92) + '*')}\n{BOOK}", 1),
        (f"{HEAD}{star('START', 'EBOOK THE MILL,' + chr(10) + 'OR THE LONG NIGHT')}\n\n{BOOK}", 1),
        (f"{HEAD}{star('start', 'ebook The Mill', the='the')}\n{BOOK}", 1),
        (f"{HEAD}{star('START')}\n\nProduced by A. Miller and\nthe Online Team\n\n\n{BOOK}", 2),
        (
            f"{HEAD}{star('START')}\n\nE-text prepared by A. Miller\n\n{BOOK}\n\n{BY}",
            3,
        ),
        (f"{BOOK}\n\nEnd of the Project Gutenberg EBook of The Mill, by X\n\n{star('END')}{LICENCE}", 1),
        (f"{BOOK}\n\n*** This is the end of the Project Gutenberg Etext of The Mill", 1),
        (f"Project Gutenberg's Mill\n{OLD}*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n{BOOK}", 1),
        (f"Project Gutenberg's Mill\n{OLD}*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n{BOOK}", 1),
        (
            f"Project Gutenberg's Mill\n\n{star('START')}\n{BOOK}\n{SMALL_PRINT}*END*THE SMALL PRINT! *END*\n\n",
            2,
        ),
    ],
)
def test_every_form(text: str, parts: int) -> None:
    assert strip_gutenberg(text) == (BOOK, parts)


@pytest.mark.parametrize(
    "text",
    [
        BOOK,
        "",
        "We read Project Gutenberg books.\n" + BOOK,
        "\n".join(["line"] * 2_000 + [star("START")] + ["line"] * 3_000),  # in the middle of a book about books
        f"Produced by A. Miller\n\n{BOOK}",
        "*END*THE SMALL PRINT! of somebody else*END*\n" + BOOK,
    ],
)
def test_what_is_left_alone(text: str) -> None:
    assert strip_gutenberg(text) == (text, 0)


@given(st.lists(st.sampled_from([*BOOK.split("\n"), *OLD.split("\n"), star("START"), star("END"), "", "  ", "x *"])))
def test_stripping_adds_nothing_and_takes_whole_lines_from_the_ends(lines: list[str]) -> None:
    text = "\n".join(lines)
    left, parts = strip_gutenberg(text)
    assert left in text
    assert (left == text) or parts


def test_real_books_stay_as_they_are(shared_data: Path) -> None:
    for path in sorted((shared_data / "text" / "books").glob("*.gz")):
        book = gzip.decompress(path.read_bytes()).decode()
        assert strip_gutenberg(book) == (book, 0)
        framed = f"{HEAD}{star('START')}\n\n{book.strip(chr(10))}\n\n{star('END')}{LICENCE}"
        assert strip_gutenberg(framed) == (book.strip("\n"), 2)


@pytest.mark.parametrize("extractor", list(EXTRACTORS))
def test_a_book_in_html(extractor: Extractor) -> None:
    story = "The miller rose before the sun on day {} of the year, and the wheel turned until night fell. "
    chapters = "".join(f"<h2>CHAPTER {n}</h2><p>{story.format(n) * 4}</p>" for n in range(8))
    html = (
        f"<html><head><title>The Mill</title></head><body><section class='pg-boilerplate' id='pg-header'>"
        f"<h2>The Project Gutenberg eBook of The Mill</h2><div>This eBook is for the use of anyone.</div>"
        f"<div id='pg-start-separator'><span>{star('START')}</span></div></section>{chapters}"
        f"<section class='pg-boilerplate' id='pg-footer'><div><span>{star('END')}</span></div>"
        f"<p>Updated editions will replace the previous one, and the old editions will be renamed.</p></section>"
        f"</body></html>"
    )
    page = parse_page(html, 10_000, 100)
    assert page is not None
    text, _ = strip_gutenberg(normalize(extract_text(page, extractor)))
    assert text.count("The miller rose before the sun") == 32
    assert "GUTENBERG" not in text
    assert "Updated editions" not in text


def test_the_rule_is_counted_and_whole_books_pass_their_preset(shared_data: Path) -> None:
    book = gzip.decompress((shared_data / "text" / "books" / "moby-dick.md.gz").read_bytes()).decode()
    framed = normalize(f"{HEAD}{star('START')}\n\n{book}\n\n{star('END')}{LICENCE}")
    verdict = evaluate(framed, "en", 1.0, CleanConfig(preset="books"))
    assert verdict.failed == ()
    assert verdict.scores["gutenberg"] == 2
    assert verdict.text == normalize(book)
