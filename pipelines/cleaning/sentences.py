"""Where sentences end, as offsets in code points."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

__all__ = ["sentence_ends"]

# The segmenter's cost grows with the square of a piece in scripts without spaces (100,000 characters: 3.4 s), and a
# call costs as much as some hundred characters.
_PIECE_CHARACTERS = 1_500
_LINE = re.compile("[^\n]")

# Titles that the segmenter does not know as abbreviations; a name follows them.
_TITLES = {"fr": ("M.", "MM."), "hi": ("डॉ.", "श्री.", "प्रो.", "पं.")}


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of what lies between empty lines."""
    # By hand: a pattern that says so keeps 110 bytes a character until the paragraph ends, 1.1 GB for one of 10 MB.
    end = 0
    while found := _LINE.search(text, end):
        start = found.start()
        end = text.find("\n\n", start)
        end = len(text) if end < 0 else end
        yield start, end


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Start and content of pieces: paragraphs, cut after a line end or space where they are long."""
    for first, end in _paragraphs(text):
        start = first
        while end - start > _PIECE_CHARACTERS:
            limit = start + _PIECE_CHARACTERS
            cut = max(text.rfind("\n", start, limit), text.rfind(" ", start, limit)) + 1
            cut = cut if cut > start else limit
            yield start, text[start:cut]
            start = cut
        yield start, text[start:end]


def sentence_ends(text: str, language: str | None) -> list[int]:
    """End of each sentence in code points, exclusive, without the white space behind it.

    Args:
        text: normalized text.
        language: ISO 639 code, for abbreviations and the like; None is segmented as English.
    """
    ends = []
    titles = _TITLES.get(language or "", ())
    for start, piece in _pieces(text):
        for found in sentencex.get_sentence_boundaries(language or "en", piece):
            sentence = piece[found["start_index"] : found["end_index"]].rstrip()
            named = titles and found["end_index"] < len(piece) and sentence.rpartition(" ")[2] in titles
            if sentence.strip() and not named:
                ends.append(start + found["start_index"] + len(sentence))
    return ends
