"""The user's lists as files: their entries, and digests of their content for the fingerprint."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator

from schemas.configs.clean_lists import CleanLists
from schemas.errors import InputError
from schemas.manifest import InputRecord
from schemas.storage import open_input

__all__ = ["LIST_PREFIX", "list_records", "read_entries"]

# Marks a list among the inputs of a manifest.
LIST_PREFIX = "list:"
_GZIP = b"\x1f\x8b"


def _content(url: str) -> bytes:
    with open_input(url) as stream:
        return stream.read()


def list_records(lists: CleanLists) -> tuple[InputRecord, ...]:
    """Every list with the BLAKE2b-256 of its bytes: a list that changed makes stale what was cleaned with it.

    Raises:
        InputError: a file cannot be read.
    """
    digests = ((url, hashlib.blake2b(_content(url), digest_size=32).hexdigest()) for url in lists.files())
    return tuple(InputRecord(name=LIST_PREFIX + url, digest=digest, content_digest=digest) for url, digest in digests)


def read_entries(urls: Iterable[str]) -> Iterator[str]:
    """The entries of list files, lower-cased, without white space around; empty lines and comments are none.

    Raises:
        InputError: a file cannot be read, or is not UTF-8.
    """
    for url in urls:
        content = _content(url)
        try:
            text = (gzip.decompress(content) if content.startswith(_GZIP) else content).decode("utf-8-sig")
        except (UnicodeDecodeError, EOFError, OSError) as error:
            raise InputError(f"list {url} is not text in UTF-8 ({error}); give one entry a line in UTF-8") from error
        for line in text.split("\n"):
            entry = line.strip().lower()
            if entry and not entry.startswith("#"):
                yield entry
