"""C4's rules about lines, in the three forms in which they are around (Raffel et al. 2020, section 2.2).

What a form keeps of a page, and what it looks for in which lines, differs: see
docs/decisions/0007-sides-of-published-rules.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["C4_FORMS", "C4Form", "C4Page", "read_c4_page"]

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_END_MARKS = (".", "?", "!", '"')
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_LONGEST_WORD = 1000  # characters; it finds encoded data rather than words


@dataclass(frozen=True)
class C4Form:
    """One form of the rules.

    Attributes:
        least_words: of a line.
        end_marks: whether a line has to end in one, and not in an ellipsis.
        citations: whether `[1]`, `[edit]` and `[citation needed]` go before a line's end is looked at.
        words_after_citations: whether words are counted when citations have gone.
        policy: whether lines with phrases about terms and cookies go, and lines with a word of over 1,000 characters.
    """

    least_words: int
    end_marks: bool
    citations: bool = True
    words_after_citations: bool = False
    policy: bool = True


C4_FORMS = {
    # The published code, in TensorFlow Datasets.
    "as-coded": C4Form(least_words=5, end_marks=True, words_after_citations=True),
    # The five sentences of the paper's first version about lines and pages, and no more.
    "as-written": C4Form(least_words=3, end_marks=True, citations=False, policy=False),
    # As FineWeb runs datatrove's filter.
    "fineweb": C4Form(least_words=3, end_marks=False),
}


@dataclass(frozen=True)
class C4Page:
    """What a form makes of a page.

    Attributes:
        text: the lines kept.
        removed: lines with a character in them that went.
        lorem_ipsum: lines with the phrase, among those that were long enough and ended as they should.
        curly_brackets: lines with an opening one, among those that were looked at for it.
    """

    text: str
    removed: int
    lorem_ipsum: int
    curly_brackets: int


def read_c4_page(text: str, form: C4Form) -> C4Page:
    """Sort the lines of a page."""
    kept: list[str] = []
    removed = lorem_ipsum = curly_brackets = 0
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            # Empty lines separate paragraphs, which the published code does not know; they stay where text stays.
            kept.append("")
            continue
        candidate = _candidate(line, form)
        lowered = (candidate or "").lower()
        lorem_ipsum += "lorem ipsum" in lowered
        script = "javascript" in lowered
        curly_brackets += "{" in lowered and not script
        if candidate is None or script or (form.policy and any(phrase in lowered for phrase in _POLICY)):
            removed += 1
        else:
            kept.append(candidate)
    joined = re.sub("\n{3,}", "\n\n", "\n".join(kept)).strip("\n")
    return C4Page(joined, removed, lorem_ipsum, curly_brackets)


def _candidate(line: str, form: C4Form) -> str | None:
    """The line without citations, if it is long enough and ends as it should."""
    words = line.split()
    if form.policy and any(len(word) > _LONGEST_WORD for word in words):
        return None
    if form.citations and "[" in line:
        line = _CITATION.sub("", line)
        words = line.split() if form.words_after_citations else words
    if form.end_marks and (not line.endswith(_END_MARKS) or line.endswith("...")):
        return None
    # A line of citations alone may count words and have nothing left.
    return line.strip() or None if len(words) >= form.least_words else None
