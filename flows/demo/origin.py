"""Where the pages of the demo come from."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flows.demo.pydoc_site import SITE_URL
from flows.stage_request import check_inputs
from schemas.storage import join_url

__all__ = ["Origin", "origin_of"]

_CORPORA = "corpus"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A source: pages to crawl, or files to read."""

    source: str
    partition: str
    default_root: str
    seed_urls: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def _name(text: str) -> str:
    """`text` as the name of a source: only what a folder name can hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "input"


def origin_of(given: str | None) -> Origin:
    """The user's own folder, file or web site; by default, the documentation of the Python that runs this.

    Each origin has a corpus of its own, unless the user names one.

    Raises:
        InputError: the folder or file is not there.
    """
    if not given:
        version = ".".join(map(str, sys.version_info[:3]))
        root = join_url(_CORPORA, "demo")
        return Origin(source="pydoc", partition=version, default_root=root, seed_urls=(SITE_URL,))
    if given.startswith(("http://", "https://")):
        name = _name(urlsplit(given).hostname or "")
        return Origin(source=name, partition="crawl", default_root=join_url(_CORPORA, name), seed_urls=(given,))
    check_inputs([given])
    path = given if "://" in given else str(Path(given).resolve())
    name = _name(path.rstrip("/").rpartition("/")[2])
    return Origin(source=name, partition="files", default_root=join_url(_CORPORA, name), inputs=(path,))
