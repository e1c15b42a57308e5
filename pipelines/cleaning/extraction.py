"""Main text of HTML pages, by one of three engines; see docs/decisions/0001-extraction-engine.md."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Literal

from pipelines.cleaning.html_page import HtmlPage
from pipelines.sources.items import ItemError

__all__ = ["EXTRACTORS", "Extractor", "extract_text"]

Extractor = Literal["precise", "fast", "resiliparse"]


@cache
def _trafilatura() -> Callable[..., str | None]:
    from trafilatura import extract

    # It reports pages it can do nothing with as errors; here they become dropped rows.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return extract


def _precise(page: HtmlPage) -> str:
    return _trafilatura()(page.tree, favor_precision=True, include_comments=False) or ""


def _fast(page: HtmlPage) -> str:
    return _trafilatura()(page.tree, fast=True, include_comments=False) or ""


def _resiliparse(page: HtmlPage) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(page.html, main_content=True, alt_texts=False, comments=False, post_meta=False))


EXTRACTORS: dict[Extractor, Callable[[HtmlPage], str]] = {
    "precise": _precise,
    "fast": _fast,
    "resiliparse": _resiliparse,
}


def extract_text(page: HtmlPage, extractor: Extractor) -> str:
    """The main text of a page, empty where there is none.

    Raises:
        ItemError: the engine failed on this page.
    """
    try:
        return EXTRACTORS[extractor](page)
    except Exception as error:
        raise ItemError("extractor-error", f"{extractor}: {type(error).__name__}: {error}") from error
