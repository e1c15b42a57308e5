"""One spelling of a text: Unicode normal form C, plain line ends and spaces, no controls, no misread letters."""

from __future__ import annotations

import re
import unicodedata

import ftfy

__all__ = ["normalize", "normalize_line", "storable"]

# CR LF, CR, VT, FF, NEL, and the line and paragraph separators: everything that ends a line somewhere.
_LINE_ENDS = "\r\v\f\x85\u2028\u2029"
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Controls but TAB and LF, the soft hyphen, the byte order mark, and surrogates, which have no UTF-8.
_REMOVED = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\xad\ufeff\ud800-\udfff]")
_SPACE = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_RUN_OF_SPACES = re.compile(r"(?<=[^ \t])(?: [ \t]+|\t[ \t]*)")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n{3,}")
# What UTF-8 read as another charset leaves: two characters beyond ASCII in a row, one before a space that was a
# no-break space, or a control of Latin-1 (NEL alone ends a line). Few lines in Latin script have any, and `ftfy` reads
# 5 MB/s. All begin with one set of characters, so that a search passes ASCII without trying the branches one by one.
_MAYBE_MISREAD = re.compile(
    "[\x80-\u2122](?:(?<=[\x80-\x84\x86-\x9f])|(?<=[\xa0-\u04ff\u2010-\u2122])[\x85\xa0-\u04ff\u2010-\u2122\ufffd]"
    "|(?<=[\xc2-\xf4]) )"
)
_MOST_ROUNDS = 5


def normalize(text: str) -> str:
    """The text as it is stored; normalizing it again changes nothing.

    Spaces at the start of a line stay, since they are the structure of code; runs of spaces inside a line become one,
    spaces at its end go, more than one empty line becomes one, and there are none at either end. Letters that were
    decoded with the wrong charset (`GrÃ¶ÃŸe`) are repaired line by line.
    """
    # Removing controls may complete a misread sequence, so it is done until nothing of the kind is left.
    for _ in range(_MOST_ROUNDS):
        normal = _one_round(text)
        if normal == text or normal.isascii() or not _MAYBE_MISREAD.search(normal):
            return normal
        text = normal
    return text


def _one_round(text: str) -> str:
    if not text.isascii() and _MAYBE_MISREAD.search(text):
        text = "\n".join([_repaired(line) for line in text.split("\n")])
    # What is printable holds no control, no line end and no space but the plain one, as most texts do.
    plain = text.replace("\n", "").isprintable()
    if not plain:
        if any(mark in text for mark in _LINE_ENDS):
            text = _LINE_END.sub("\n", text)
        text = _REMOVED.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        if not plain:
            text = _SPACE.sub(" ", text)
    if "  " in text or "\t" in text or " \n" in text or text.endswith(" "):
        text = "\n".join([_spaced(line) for line in text.split("\n")])
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip("\n")


def _repaired(line: str) -> str:
    return ftfy.fix_encoding(line) if _MAYBE_MISREAD.search(line) else line


def _spaced(line: str) -> str:
    line = line.rstrip(" \t")
    return _RUN_OF_SPACES.sub(" ", line) if "  " in line or "\t" in line else line


def normalize_line(text: str | None) -> str | None:
    """A title or another field as one line; None where nothing is left."""
    if text and not (text.isascii() and text.isprintable()):
        text = normalize(text)
    return " ".join((text or "").split()) or None


def storable(text: str | None) -> str | None:
    """A field that is kept as it is stated, but for what no reader of Parquet takes: NUL and lone surrogates.

    Each becomes U+FFFD, so that two URLs that differ in one still differ from those that have none.
    """
    return text if text is None or text.isprintable() else _UNSTORABLE.sub("\ufffd", text)
