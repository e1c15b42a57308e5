"""What Project Gutenberg puts around a book: header, licence, small print, notes on who made the file.

The marks are those of its files since 1991: `*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***` and its END, in many
spellings, and the older `*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*`.
"""

from __future__ import annotations

import re

__all__ = ["strip_gutenberg"]

# Where a header can end, and a footer begin; a book that speaks of such marks in its middle is left alone.
_HEADER_LINES = 1_000
_FOOTER_LINES = 1_000
_MARK_LINES = 4  # a mark may be wrapped
_STARS = r"[ \t]*(?:\\?\*){2,}[ \t]*"  # Markdown may escape them
_START = re.compile(rf"{_STARS}START OF (?:THE|THIS) PROJECT GUTENBERG (?:E-?BOOK|ETEXT)", re.IGNORECASE)
_END = re.compile(rf"{_STARS}END OF (?:THE|THIS) PROJECT GUTENBERG (?:E-?BOOK|ETEXT)", re.IGNORECASE)
_SMALL_PRINT_START = re.compile(r"[ \t]*\*+START\*+[ \t]*THE SMALL PRINT!", re.IGNORECASE)
_SMALL_PRINT_END = re.compile(r"[ \t]*\*END[ \t]?\*?[ \t]*THE SMALL PRINT!", re.IGNORECASE)
_LAST_WORDS = re.compile(
    r"[ \t]*+\**+[ \t]*+(?:This is )?(?:the )?End of (?:the |this )?Project Gutenberg\b", re.IGNORECASE
)
# Says that a file is Project Gutenberg's, in its first lines.
_NAME = re.compile(r"Project Gutenberg", re.IGNORECASE)
# The first paragraph behind the header may say who made the file.
_CREDIT = re.compile(
    r"[ \t]*[\[(]?(?:E-text (?:was )?prepared by|HTML version by|"
    r"(?:This (?:e-?text|e-?book) was )?(?:Produced|Prepared|Transcribed|Scanned)(?: from .*)? by)\b",
    re.IGNORECASE,
)
_CREDIT_LINES = 12


def _header_end(lines: list[str]) -> int:
    """The first line behind the last mark of the header; 0 where there is none."""
    ends = [0]
    first = lines[:_HEADER_LINES]
    named = False
    for index, line in enumerate(first):
        named = named or bool(_NAME.search(line))
        if _START.match(line):
            near = range(index, min(index + _MARK_LINES, len(first)))
            ends.append(next((n for n in near if first[n].rstrip().endswith("*")), index) + 1)
        elif named and _SMALL_PRINT_END.match(line):
            ends.append(index + 1)
    # Some files have the small print at their end, where nothing follows it.
    while ends[-1] and not any(line.strip() for line in lines[ends[-1] :]):
        ends.pop()
    return ends[-1]


def _footer_start(lines: list[str], start: int) -> int:
    """The line at which the footer begins; the number of lines where there is none."""
    earliest = max(start, len(lines) - _FOOTER_LINES)
    for index in range(earliest, len(lines)):
        line = lines[index]
        if _END.match(line) or _LAST_WORDS.match(line) or _SMALL_PRINT_START.match(line):
            return index
    return len(lines)


def _credit_end(lines: list[str]) -> int:
    """The first line behind a note on who made the file; 0 where there is none."""
    first = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    if first == len(lines) or not _CREDIT.match(lines[first]):
        return 0
    end = next((n for n in range(first, len(lines)) if not lines[n].strip()), len(lines))
    return end if end - first <= _CREDIT_LINES else 0


def strip_gutenberg(text: str) -> tuple[str, int]:
    """The text without what Project Gutenberg put around it, and how many parts went: header, credit, footer."""
    lines = text.split("\n")
    start = _header_end(lines)
    end = _footer_start(lines, start)
    body = lines[start:end]
    credit = _credit_end(body) if start else 0
    parts = (start > 0) + (end < len(lines)) + (credit > 0)
    return ("\n".join(body[credit:]).strip("\n"), parts) if parts else (text, 0)
