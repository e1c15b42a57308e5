"""Brings up the site of the demo while a crawl of it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flows.demo.pydoc_site import SITE_URL, serve_pydoc
from flows.steps import Surroundings, nothing_around

__all__ = ["seed_site"]


@contextmanager
def _served() -> Iterator[tuple[str, ...]]:
    with serve_pydoc() as site:
        pairs = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in site.connect_to().items())
        yield "--set", f"connect_to={{{pairs}}}"


def seed_site(seed_urls: Sequence[str]) -> Surroundings:
    """What a crawl from these URLs needs around it: for the demo's own site a server, for others nothing."""
    return _served if SITE_URL in seed_urls else nothing_around
