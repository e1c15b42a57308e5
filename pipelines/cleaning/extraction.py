"""Main text of HTML pages, by one of four engines; see docs/decisions/0001-extraction-engine.md."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Literal

from pipelines.cleaning.html_page import HtmlPage, too_deep
from pipelines.sources.items import ItemError

__all__ = ["EXTRACTORS", "Extractor", "extract_text"]

Extractor = Literal["blocks", "precise", "fast", "resiliparse"]


@cache
def _trafilatura() -> Callable[..., str | None]:
    from trafilatura import extract

    # It reports pages it can do nothing with as errors; here they become dropped rows.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    return extract


def _blocks(page: HtmlPage) -> str:
    from pipelines.cleaning.main_text.model import main_text
    from pipelines.cleaning.main_text.page_blocks import page_blocks

    blocks = page_blocks(page.document)
    if blocks.depth > page.max_depth:
        raise too_deep(page.max_depth)
    return main_text(blocks)


def _precise(page: HtmlPage) -> str:
    if page.tree is None:
        return ""
    return _trafilatura()(page.tree, favor_precision=True, include_comments=False) or ""


def _fast(page: HtmlPage) -> str:
    if page.tree is None:
        return ""
    return _trafilatura()(page.tree, fast=True, include_comments=False) or ""


def _resiliparse(page: HtmlPage) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    _ = page.tree  # its time grows with the square of the depth, so the depth is looked at first
    return str(extract_plain_text(page.html, main_content=True, alt_texts=False, comments=False, post_meta=False))


EXTRACTORS: dict[Extractor, Callable[[HtmlPage], str]] = {
    "blocks": _blocks,
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
    except ItemError:
        raise
    except Exception as error:
        raise ItemError("extractor-error", f"{extractor}: {type(error).__name__}: {error}") from error
