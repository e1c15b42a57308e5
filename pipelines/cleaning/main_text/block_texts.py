"""What the texts of a page's blocks look like, counted in one compiled loop over their bytes."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.cleaning.main_text.byte_automata import LOWER_CASE, ByteAutomata, WordList, build
from pipelines.cleaning.main_text.page_blocks import PageBlocks
from pipelines.cleaning.main_text.text_kernel import PROPERTIES, count_in_texts

__all__ = ["CAPTION_WORDS", "FRAME_WORDS", "LEADS", "BlockTexts", "look_at"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_ENDS = ".!?\"”’':…。！？)"
_PUNCTUATION = ".,;:!?…。，、！？؟।"
# Scripts without spaces between words: two characters count as one word.
_UNSPACED = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0x0E00, 0x0EFF))
FRAME_WORDS = (
    "copyright", "©", "all rights reserved", "subscribe", "sign up", "log in", "login", "cookie", "share this",
    "follow us", "read more", "advertisement", "comment", "newsletter", "privacy", "terms of", "posted by", "posted on",
    "posted in", "updated", "published", "photo", "image", "getty", "click here", "contact us", "see also", "related",
    "more from", "print", "email", "e-mail",
)  # fmt: skip
CAPTION_WORDS = (
    "(ap", "(image", "(photo", "(reuters", "(getty", "(afp", "(file", "(foto", "(credit", "(picture", "(pa)",
    "getty images", "/ap", "/getty", "/reuters", "/afp", "file photo", "photo:", "foto:", "credit:", "image:", "bild:",
    "picture:", "courtesy", "source:", "quelle:", "fuente:", "crédit", "photograph", "photo by", "©", "copyright",
)  # fmt: skip
LEADS = (
    "see more", "see also", "read more", "read also", "also read", "related", "more:", "more on", "watch", "listen",
    "recommended", "don't miss", "don’t miss", "you may also", "you might also", "lesen sie", "mehr zu", "siehe auch",
    "lire aussi", "lea tambi", "leia", "click here", "sign up", "subscribe", "follow", "share", "tag:", "tags:",
    "filed under", "posted in", "source:", "quelle", "have a tip", "contact", "by:", "von ", "tempo de leitura",
)  # fmt: skip
_LONGER = "\u0130"  # the only character whose lower case is longer
_PLANES = 0x20000  # no character from here on is of a case, or has another property that is asked for


class BlockTexts(NamedTuple):
    """Of n texts.

    Attributes:
        counts: 8 × n, of each text
            its size in code points;
            its words, by spaces, and half the letters of scripts that have none;
            its punctuation, marks that end or divide sentences;
            and 1 where it
            ends as a sentence or a quotation does;
            is framed: short, with a phrase that speaks of the site;
            is a caption: not too long, with a phrase that captions have;
            leads, starting as a pointer to other pages does;
            shouts, starting in capitals.
        alike: n, of a text of at least 80 characters the first that starts with the same 80; -1 for a shorter one.
    """

    counts: F64
    alike: I64


@cache
def _properties() -> NDArray[np.uint8]:
    """By code point the bits of `PROPERTIES`."""
    bits = {name: np.uint8(1 << place) for place, name in enumerate(PROPERTIES)}
    signs = [chr(code) for code in range(_PLANES)]
    upper = np.fromiter(map(str.isupper, signs), dtype=np.bool_, count=_PLANES)
    title = np.fromiter(map(str.istitle, signs), dtype=np.bool_, count=_PLANES)  # of one letter, upper case is title
    lower = np.fromiter(map(str.islower, signs), dtype=np.bool_, count=_PLANES)
    found = upper * bits["upper"] | (lower | title & ~upper) * bits["lower"]
    found[[ord(mark) for mark in _PUNCTUATION]] |= bits["punctuation"]
    found[[ord(mark) for mark in _ENDS]] |= bits["ending"]
    for first, last in _UNSPACED:
        found[first : last + 1] |= bits["unspaced"]
    found[ord(_LONGER)] |= bits["longer"]
    return found


@cache
def _automata() -> ByteAutomata:
    phrases = {**dict.fromkeys(FRAME_WORDS, 1), **dict.fromkeys(CAPTION_WORDS, 2)}
    phrases |= dict.fromkeys(set(FRAME_WORDS) & set(CAPTION_WORDS), 3)
    return build(
        WordList(phrases, anywhere=True, same=LOWER_CASE),
        WordList(dict.fromkeys(LEADS, 1), anywhere=False, same=LOWER_CASE),
    )


def look_at(blocks: PageBlocks) -> BlockTexts:
    """Count in the texts of all blocks."""
    return BlockTexts(*count_in_texts(blocks.content, blocks.ends, _properties(), _automata()))
