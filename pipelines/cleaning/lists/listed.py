"""All lists of a config, loaded once a process, behind the two questions that rules ask."""

from __future__ import annotations

from functools import cached_property

from pipelines.cleaning.lists.bad_words import BadWords
from pipelines.cleaning.lists.block_lists import UrlLists
from schemas.configs.clean_lists import CleanLists

__all__ = ["NO_LISTS", "Listed"]


class Listed:
    """The lists of a config; `load` reads them, else the first question does."""

    def __init__(self, lists: CleanLists) -> None:
        self._lists = lists

    @cached_property
    def _urls(self) -> UrlLists:
        return UrlLists(self._lists)

    @cached_property
    def _words(self) -> BadWords:
        return BadWords(self._lists)

    def load(self) -> None:
        """Read every list now, so that a file that is missing shows before the first page.

        Raises:
            InputError: a file cannot be read.
        """
        _ = self._urls, self._words

    def url_value(self, rule: str, url: str | None) -> float:
        """What a rule about the URL measures; 0 for a page without one."""
        return self._urls.value(rule, url) if url else 0.0

    def bad_words(self, text: str, language: str | None) -> float:
        """How often bad words stand in the text."""
        return float(self._words.count(text, language))


NO_LISTS = Listed(CleanLists())
