"""The published quality rules once more, as slowly and as plainly as they are described, to compare ours with.

Nothing is shared with the code under test: words, lines, n-grams and C4's passes are counted here one character, one
line, one n-gram at a time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache

Values = dict[str, float]


@cache
def words_of(text: str) -> list[str]:
    found: list[str] = []
    current = ""
    for place, character in enumerate(text):
        following = text[place + 1] if place + 1 < len(text) else " "
        joins = character in "'’-" and current and _inside(current[-1]) and _inside(following)
        if _starts(character) or (current and (_inside(character) or joins)):
            current += character
        elif current:
            found.append(current)
            current = ""
    return [*found, current] if current else found


def _starts(character: str) -> bool:
    return character.isalnum() or character == "_"


def _inside(character: str) -> bool:
    return _starts(character) or unicodedata.category(character).startswith("M") or character in "\u200c\u200d"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _paragraphs(text: str) -> list[str]:
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return ["\n".join(lines).strip() for lines in found if lines]


def _later_copies(parts: list[str]) -> list[str]:
    return [part for place, part in enumerate(parts) if part in parts[:place]]


def gopher_quality(text: str) -> Values:
    words, lines = words_of(text), _lines(text)
    per_word, per_line = 1 / (len(words) or 1), 1 / (len(lines) or 1)
    mean = sum(map(len, words)) * per_word
    dots = 0
    place = text.find("...")
    while place >= 0:
        dots, place = dots + 1, text.find("...", place + 3)
    required = ["the", "be", "to", "of", "and", "that", "have", "with"]
    return {
        "words-at-least": len(words),
        "words-at-most": len(words),
        "mean-word-length-at-least": mean,
        "mean-word-length-at-most": mean,
        "hashes-per-word": list(text).count("#") * per_word if words else 0,
        "ellipses-per-word": (dots + list(text).count("…")) * per_word if words else 0,
        "bullet-lines": sum(line[0] in "•-" for line in lines) * per_line,
        "ellipsis-lines": sum(line[-1] == "…" or line[-3:] == "..." for line in lines) * per_line,
        "alphabetic-words": sum(any(c.isalpha() for c in word) for word in words) * per_word,
        "stop-words": sum(word in words for word in required),
    }


@cache
def gopher_repetition(text: str) -> Values:
    words, lines, paragraphs = words_of(text), _lines(text), _paragraphs(text)
    size = len(text) or 1
    values: Values = {
        "duplicate-lines": len(_later_copies(lines)) / (len(lines) or 1),
        "duplicate-paragraphs": len(_later_copies(paragraphs)) / (len(paragraphs) or 1),
        "duplicate-line-characters": sum(map(len, _later_copies(lines))) / size,
        "duplicate-paragraph-characters": sum(map(len, _later_copies(paragraphs))) / size,
    }
    for n in (2, 3, 4):
        counts: dict[str, int] = {}
        for start in range(len(words) - n + 1):
            gram = " ".join(words[start : start + n])
            counts[gram] = counts.get(gram, 0) + 1
        first = next((gram for gram, number in counts.items() if number == max(counts.values())), None)
        values[f"top-{n}-gram-characters"] = counts[first] * len(first) / size if first else 0.0
    for n in range(5, 11):
        seen, start, characters = set(), 0, 0
        while start + n <= len(words):
            gram = "\0".join(words[start : start + n])
            if gram in seen:
                characters += len(gram) - (n - 1)
                start += n
            else:
                seen.add(gram)
                start += 1
        values[f"duplicate-{n}-gram-characters"] = characters / size
    return values


def fineweb_quality(text: str) -> Values:
    lines = _lines(text)
    per_line = 1 / (len(lines) or 1)
    breaks = list(text).count("\n")
    words = words_of(text)
    return {
        "end-mark-lines": sum(line[-1] in ".?!\"'" for line in lines) * per_line,
        "short-lines": sum(len(line) < 31 for line in lines) * per_line,
        "repeated-line-characters": sum(map(len, _later_copies(lines))) / ((len(text) - breaks) or 1),
        "newlines-per-word": breaks / len(words) if words else 0.0,
    }


def c4_page(text: str, form: str, sentences_of: Callable[[str], int]) -> tuple[Values, str]:
    """C4's rules over lines, in the order of its published code; `form` names what differs."""
    kept, lorem, curly = [], 0, 0
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            kept.append(line)
            continue
        if form != "as-written" and max(len(word) for word in line.split()) > 1000:
            continue
        count_before = len(line.split())
        line = line if form == "as-written" else _without_citations(line)
        count = len(line.split()) if form == "as-coded" else count_before
        if form != "fineweb" and (not line or line[-1] not in '.?!"' or line[-3:] == "..."):
            continue
        if count < (5 if form == "as-coded" else 3) or not line.strip():
            continue
        lowered = line.lower()
        lorem += "lorem ipsum" in lowered
        if "javascript" in lowered:
            continue
        curly += "{" in line
        phrases = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
        if form != "as-written" and any(phrase in lowered for phrase in phrases):
            continue
        kept.append(line.strip())
    cleaned = "\n".join(kept).strip("\n")
    while "\n\n\n" in cleaned:
        cleaned = cleaned.replace("\n\n\n", "\n\n")
    sentences = sentences_of(cleaned)
    if form == "as-written":
        lorem, curly = text.lower().count("lorem ipsum"), text.count("{")
        return {"lorem-ipsum": lorem, "curly-brackets": curly, "sentences": sentences}, cleaned
    return {f"lorem-ipsum-{form}": lorem, f"curly-brackets-{form}": curly, "sentences": sentences}, cleaned


def _without_citations(line: str) -> str:
    result = ""
    while line:
        end = line.find("]")
        if line[0] == "[" and (line[1:end].isdigit() or line[1:end] in ("", "edit", "citation needed")) and end > 0:
            line = line[end + 1 :]
        else:
            result, line = result + line[0], line[1:]
    return result
