"""Looking URLs up in the user's block lists.

Formats are those of the UT1 collection (files `domains` and `urls`) and of FineWeb's word lists. A domain blocks its
subdomains too, and a URL what lies below it, as in squidGuard, for which UT1 is made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import numpy as np
from ahocorasick_rs import AhoCorasick

from pipelines.cleaning.lists.list_files import read_entries
from schemas.configs.clean_lists import CleanLists

__all__ = ["HashedSet", "UrlLists"]

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
# Of one URL; a path deeper than this is cut. Names have 127 labels at most (RFC 1035, section 2.3.4).
_MOST_PREFIXES, _MOST_LABELS = 32, 127


class HashedSet:
    """A set of strings as sorted 64-bit hashes: 8 bytes an entry, where a set of strings takes about 110.

    UT1's largest list has 4.6 million domains: 37 MB a worker instead of 500. Two of 4.6 million hashes are equal to
    that of another string with a probability below 1e-12 a lookup.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = np.unique(np.fromiter(map(_hash, entries), dtype=np.uint64))

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, entry: str) -> bool:
        wanted = np.uint64(_hash(entry))
        place = int(np.searchsorted(self._hashes, wanted))
        return place < len(self._hashes) and self._hashes[place] == wanted


def _hash(entry: str) -> int:
    return int.from_bytes(hashlib.blake2b(entry.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _host(name: str) -> str:
    """One spelling of a host: no dot at either end, no `*.` or `www.`, other scripts as DNS has them."""
    name = name.strip(".").removeprefix("*.").removeprefix("www.")
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def _address(entry: str) -> str:
    """An entry of a list of URLs, or a URL without its scheme and user, in one spelling."""
    host, slash, path = _SCHEME.sub("", entry).partition("/")
    return (_host(host.rpartition("@")[2]) + slash + path).rstrip("/")


class UrlLists:
    """The URL lists of a config, loaded; one per process."""

    def __init__(self, lists: CleanLists) -> None:
        self._domains = HashedSet(_host(_SCHEME.sub("", one).partition("/")[0]) for one in read_entries(lists.domains))
        self._urls = HashedSet(map(_address, read_entries(lists.urls)))
        self._banned = frozenset(_joined(read_entries(lists.banned_words)))
        self._soft = frozenset(_joined(read_entries(lists.soft_words)))
        self._parts = AhoCorasick(sorted(set(_joined(read_entries(lists.banned_subwords)))))

    def value(self, rule: str, url: str) -> float:
        """What a rule about the URL measures: how many entries of its list it meets."""
        return float(getattr(self, "_" + rule.replace("-", "_"))(url.lower()))

    def _blocked_domains(self, url: str) -> int:
        labels = _host(_hostname(url)).split(".")[-_MOST_LABELS:]
        return sum(".".join(labels[start:]) in self._domains for start in range(len(labels)))

    def _blocked_urls(self, url: str) -> int:
        return sum(prefix in self._urls for prefix in _prefixes(_address(url.partition("#")[0])))

    def _banned_url_words(self, url: str) -> int:
        return len(self._banned.intersection(_NOT_WORD.split(url)))

    def _soft_url_words(self, url: str) -> int:
        return len(self._soft.intersection(_NOT_WORD.split(url)))

    def _banned_url_subwords(self, url: str) -> int:
        found = self._parts.find_matches_as_indexes(_NOT_WORD.sub("", url), overlapping=True)
        return len({pattern for pattern, _, _ in found})


def _joined(entries: Iterable[str]) -> Iterator[str]:
    """Entries as they are compared with URLs: letters and digits alone."""
    return (word for word in (_NOT_WORD.sub("", entry) for entry in entries) if word)


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _prefixes(address: str) -> Iterator[str]:
    """`a.org`, `a.org/x`, `a.org/x/y`, `a.org/x/y?q` of the last."""
    path, question, _ = address.partition("?")
    parts = path.split("/")[:_MOST_PREFIXES]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])
    if question:
        yield address
