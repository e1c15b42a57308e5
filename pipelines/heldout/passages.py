"""Cutting prompts and their answers out of a document: pure functions of its text, its sentences and its title.

Kinds of cut from any text: `continuation` (a passage and what follows it), `last-word` (a sentence without its last
word, as in LAMBADA, Paperno et al. 2016) and `rewrite` (a phrase, and the same in capitals). And prompts whose answers
are short: from documentation such as pydoc's, where a line `dump(obj, fp, *, indent=None)` stands before its
description, `signature` (the name of a function or method, and its parameters) and `summary` (the name, and the first
sentence of the description); from a document without such lines `opening` (title and first sentence) and `ending` (the
first half of a sentence and the rest).

Where sentences end is what `clean` found by the rules of each language (column `sentence_ends`), so that none ends
behind an abbreviation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["PAIR_KINDS", "Cut", "continuations", "last_characters", "last_words", "pairs", "phrases"]

# What lies further in a document is not cut: the time for one document is bounded, and half a book is enough.
_MAX_CHARACTERS = 1_000_000
_MIN_WORDS = 4
_LAST_WORD_CONTEXT = 160

PAIR_KINDS = ("signature", "summary", "opening", "ending")

_WORD = re.compile(r"\w+")
_WHITE = re.compile(r"\s*")
_BETWEEN_LINES = re.compile(r"(?<!\s)[^\S\n]*+\n\s*+")
_LAST_WORD = re.compile(r"(?<=\s)([^\W\d_]{3,})[.!?](?=\s|$)")
# Three words of letters, three letters or more each, with one space between: long enough to be a phrase of its own.
_PHRASE = re.compile(r"(?<!\S)[^\W\d_]{3,20} [^\W\d_]{3,20} [^\W\d_]{3,20}(?!\S)")
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+")
# A line that is `name(parameters)`, with a result or an origin after it; parameters may hold one level of parentheses.
_SIGNATURE = re.compile(
    r"[ \t]*(?P<name>[A-Za-z_]\w{1,40})(?P<parameters>\((?:[^()\n]|\([^()\n]*\)){1,200}\))"
    r"(?P<result> -> [^\n]{1,40})?(?: from [\w.]+| method of [^\n]+)?[ \t]*"
)
_CLASS = re.compile(r"[ \t]*class (\w+)(?:\(.*)?")
_SECTION = re.compile(r" (?:defined here|inherited from [\w.]+):\s*$")
# Lines after a signature in which the first sentence of its description is looked for.
_SUMMARY_LINES = 6
# Headings of a page of pydoc; below `Classes` stands a tree of names and bases, which are no signatures.
_HEADINGS = frozenset(["Author", "Classes", "Data", "Functions", "Modules", "Package Contents", "Submodules"])


class Cut(NamedTuple):
    """A prompt and its answer; `kind` names the way they were cut."""

    kind: str
    prompt: str
    answer: str


def _from_word_start(text: str, start: int, end: int) -> str:
    """`text[start:end]` without the piece of a word that `start` may have cut."""
    if start > 0 and not text[start - 1].isspace():
        while start < end and not text[start].isspace():
            start += 1
    return text[start:end].lstrip()


def last_characters(text: str, limit: int) -> str:
    """The last `limit` characters at most, from the start of a word."""
    return _from_word_start(text, max(0, len(text) - limit), len(text))


def _to_word_end(text: str, start: int, limit: int) -> str:
    """At most `limit` characters from `start`, without a piece of a word at the end."""
    end = start + limit
    if end < len(text) and not text[end].isspace():
        while end > start and not text[end - 1].isspace():
            end -= 1
    return text[start:end].rstrip()


def _starts(text: str, sentence_ends: Iterable[int]) -> list[int]:
    """Where sentences and lines begin, but for the first."""
    behind = (_WHITE.match(text, end) for end in sentence_ends if end < len(text))
    starts = {found.end() for found in (*behind, *_BETWEEN_LINES.finditer(text)) if found}
    return sorted(starts - {len(text)})


def continuations(
    text: str, sentence_ends: Iterable[int], context_characters: int, answer_characters: int
) -> Iterator[Cut]:
    """Cuts at starts of sentences and lines; the prompt keeps the white space before the cut.

    Args:
        text: the document.
        sentence_ends: where its sentences end.
        context_characters: characters of the prompt at most, half as many at least.
        answer_characters: characters of the answer at most, half as many and four words at least.
    """
    text = text[:_MAX_CHARACTERS].rstrip()
    for cut in _starts(text, sentence_ends):
        if cut < context_characters // 2:
            continue
        prompt = _from_word_start(text, max(0, cut - context_characters), cut)
        answer = _to_word_end(text, cut, answer_characters)
        if len(answer) >= answer_characters // 2 and len(answer.split()) >= _MIN_WORDS and len(prompt) > len(answer):
            yield Cut("continuation", prompt, answer)


def last_words(text: str, sentence_ends: Iterable[int]) -> Iterator[Cut]:
    """Last words of sentences, of three letters or more, after about 160 characters of context on one line."""
    text, ends = text[:_MAX_CHARACTERS], set(sentence_ends)
    for match in _LAST_WORD.finditer(text):
        if match.end() not in ends:
            continue
        start = match.start()
        prompt = " ".join(_from_word_start(text, max(0, start - _LAST_WORD_CONTEXT), start).split())
        if len(prompt.split()) >= 2 * _MIN_WORDS:
            yield Cut("last-word", prompt, match.group(1))


def phrases(text: str) -> Iterator[Cut]:
    """Phrases of three words, and the same in capitals; none in a script without capitals."""
    for match in _PHRASE.finditer(text[:_MAX_CHARACTERS]):
        phrase = match.group()
        if phrase.upper() != phrase:
            yield Cut("rewrite", phrase, phrase.upper())


def _description(lines: Sequence[str]) -> str:
    """The first sentence of the lines that follow a signature, up to an empty line or the next entry."""
    words: list[str] = []
    for line in lines:
        entry = _SIGNATURE.fullmatch(line) or _CLASS.fullmatch(line) or _SECTION.search(line)
        if entry or line.strip() in _HEADINGS or (words and not line.strip()):
            break
        words += line.split()
    return _SENTENCE_BREAK.split(" ".join(words))[0]


def _documentation(text: str, answer_characters: int) -> Iterator[Cut]:
    """Functions by name, methods by `Class.name`; the class is the last one whose line `class Name(Base)` was met."""
    owner, in_tree = "", False
    lines = text.split("\n")
    for number, line in enumerate(lines):
        heading = line.strip()
        if heading in _HEADINGS:
            owner, in_tree = "", heading == "Classes"
        elif found := _CLASS.fullmatch(line):
            owner, in_tree = found[1], False
        elif (match := _SIGNATURE.fullmatch(line)) and not in_tree:
            name = match["name"] if owner in {"", match["name"]} else f"{owner}.{match['name']}"
            answer = match["parameters"] + (match["result"] or "")
            if len(answer) <= answer_characters and _WORD.search(answer):
                yield Cut("signature", name, answer)
            summary = _to_word_end(_description(lines[number + 1 : number + 1 + _SUMMARY_LINES]), 0, answer_characters)
            if len(summary.split()) > 1:
                yield Cut("summary", name, summary)


def _sentences(text: str, sentence_ends: Iterable[int]) -> Iterator[str]:
    """Sentences that stand on one line, or what of them does."""
    starts = [0, *_starts(text, sentence_ends)]
    for start, end in pairwise([*starts, len(text)]):
        sentence = text[start:end].strip()
        if sentence.endswith((".", "!", "?")):
            yield sentence


def _prose(text: str, sentence_ends: Iterable[int], title: str | None, answer_characters: int) -> Iterator[Cut]:
    opened = False
    for sentence in _sentences(text, sentence_ends):
        words = sentence.split()
        if len(words) < _MIN_WORDS:
            continue
        if title and not opened:
            yield Cut("opening", " ".join(title.split()), _to_word_end(sentence, 0, answer_characters))
        opened = True
        half = (len(words) + 1) // 2
        rest = " ".join(words[half:])
        if len(words) >= 2 * _MIN_WORDS and len(rest) <= answer_characters:
            yield Cut("ending", " ".join(words[:half]), rest)


def pairs(text: str, sentence_ends: Iterable[int], title: str | None, answer_characters: int) -> Iterator[Cut]:
    """Prompts with short answers: of documentation where the document is that, else of prose; see the module's text."""
    text = text[:_MAX_CHARACTERS]
    found = False
    for cut in _documentation(text, answer_characters):
        found = True
        yield cut
    if not found:
        yield from _prose(text, sentence_ends, title, answer_characters)
