"""Settings of the stage `clean` that name the user's block lists and word lists."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CleanLists"]


class CleanLists(BaseModel):
    """Files of lists, by paths or fsspec URLs; each holds one entry a line, `#` begins a line that is a comment.

    A rule that needs a list is active as soon as its list is named, unless `rules` is given and leaves it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    domains: tuple[str, ...] = Field(
        default=(),
        title="Blocked domains",
        description="files of domains or IP addresses; subdomains are blocked with them",
    )
    urls: tuple[str, ...] = Field(
        default=(),
        title="Blocked URLs",
        description="files of host/path without scheme; what lies below is blocked with it",
    )
    banned_words: tuple[str, ...] = Field(
        default=(), title="Banned URL words", description="files of words; one of them in a URL is too many"
    )
    soft_words: tuple[str, ...] = Field(
        default=(), title="Soft URL words", description="files of words; two different ones in a URL are too many"
    )
    banned_subwords: tuple[str, ...] = Field(
        default=(), title="Banned URL parts", description="files of strings, looked for in a URL's letters and digits"
    )
    bad_words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        title="Bad words",
        description="files of words and phrases by ISO 639-1 code of the documents they are looked for in; * for all",
    )

    def files(self) -> tuple[str, ...]:
        """Every file named, each once, in order of name."""
        by_url = (self.domains, self.urls, self.banned_words, self.soft_words, self.banned_subwords)
        return tuple(sorted({file for files in (*by_url, *self.bad_words.values()) for file in files}))
