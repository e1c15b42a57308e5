"""Finding the user's bad words in a text: whole words where a script has spaces, anywhere where it has none."""

from __future__ import annotations

import unicodedata

from ahocorasick_rs import AhoCorasick

from pipelines.cleaning.lists.list_files import read_entries
from pipelines.cleaning.words import is_spaced_letter
from schemas.configs.clean_lists import CleanLists

__all__ = ["ANY_LANGUAGE", "BadWords"]

ANY_LANGUAGE = "*"


class BadWords:
    """The bad-word lists of a config, loaded; one per process."""

    def __init__(self, lists: CleanLists) -> None:
        general = set(_entries(lists.bad_words.get(ANY_LANGUAGE, ())))
        self._general = _matcher(general)
        self._by_language = {
            language: _matcher(general | set(_entries(files)))
            for language, files in sorted(lists.bad_words.items())
            if language != ANY_LANGUAGE
        }

    def count(self, text: str, language: str | None) -> int:
        """How often bad words of the text's language, or of all languages, stand in it.

        A word has to stand alone: no letter, digit or underscore of a script with spaces beside it. The start and the
        end of the text, of a line too, are as good as a space.
        """
        lowered = text.lower()
        matcher = self._by_language.get(language or "", self._general)
        found = matcher.find_matches_as_indexes(lowered, overlapping=True)
        return sum(_stands_alone(lowered, start, end) for _, start, end in found)


def _entries(files: tuple[str, ...]) -> list[str]:
    return [" ".join(unicodedata.normalize("NFC", entry).split()) for entry in read_entries(files)]


def _matcher(words: set[str]) -> AhoCorasick:
    return AhoCorasick(sorted(words))


def _stands_alone(text: str, start: int, end: int) -> bool:
    return not (
        (start > 0 and is_spaced_letter(text[start]) and is_spaced_letter(text[start - 1]))
        or (end < len(text) and is_spaced_letter(text[end - 1]) and is_spaced_letter(text[end]))
    )
