"""From one item to its row: a document, a dropped row with the rules it failed, or a dead letter."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipelines.cleaning.charset import decode_body, utf8_of
from pipelines.cleaning.extraction import extract_text
from pipelines.cleaning.html_page import PageFacts, parse_page
from pipelines.cleaning.language import Identifier, stated_language
from pipelines.cleaning.lists.listed import Listed
from pipelines.cleaning.normalization import normalize, normalize_line, storable
from pipelines.cleaning.rules import evaluate
from pipelines.cleaning.sentences import sentence_ends
from pipelines.cleaning.takedown_rows import takedown_row
from pipelines.cleaning.url_key import url_key
from pipelines.cleaning.verdict import judge, passes
from pipelines.quality.pinned import named_classifier
from pipelines.sources.formats import HEAD_BYTES, looks_like_html, looks_like_text
from pipelines.sources.items import Address, DeadItem, Item, ItemError
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import RULES
from schemas.corpus_root import PartitionKey
from schemas.identity import content_hash, document_id
from schemas.row_hash import row_hashes
from schemas.tables import DROPPED
from schemas.takedown import TakedownList

__all__ = ["RowMaker", "dead_row", "settle_repeats"]

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_XML_TYPES = ("text/xml", "application/xml")  # XHTML, where the first tag says so
_TEXT_TYPES = ("text/plain", "text/markdown", "text/x-markdown")
# `text/html, text/html` of two headers and `text/html charset=utf-8` mean one; `html` is none.
_MEDIA_TYPE = re.compile(r"\s*([^\s/;,]+/[^\s/;,]+)")
# Types that servers give what they do not know; the content decides.
_NO_TYPES = ("", "application/octet-stream", "unknown/unknown", "application/x-unknown", "no-type")

Row = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class _Page:
    text: str
    charset: str | None
    facts: PageFacts


def dead_row(address: Address, name: str, message: str, url: str | None, key: PartitionKey) -> dict[str, Any]:
    """A row of `dead/`."""
    return {
        **_address(address),
        "url": url,
        "source": key.source,
        "partition": key.partition,
        "stage": "clean",
        "error": name,
        "message": message,
    }


def _address(address: Address) -> dict[str, Any]:
    return {
        "record_file": address.record_file,
        "record_offset": address.record_offset,
        "record_id": address.record_id,
        "captured_at": address.captured_at,
    }


def _with_storable_fields(item: Item | DeadItem) -> Item | DeadItem:
    address = replace(item.address, record_id=storable(item.address.record_id))
    if isinstance(item, DeadItem):
        return replace(item, address=address, url=storable(item.url), message=storable(item.message) or "")
    return replace(
        item,
        address=address,
        url=storable(item.url),
        content_type=storable(item.content_type),
        robots=storable(item.robots),
    )


def _is_html(item: Item) -> bool | None:
    """Whether the body is HTML (True), plain text (False) or neither (None), by stated type and content."""
    head = item.body[:HEAD_BYTES]
    named = _MEDIA_TYPE.match(item.content_type or "")
    stated = named[1].lower() if named else ""
    if not looks_like_text(head):
        return None
    if stated in _HTML_TYPES or (stated in (*_NO_TYPES, *_XML_TYPES) and looks_like_html(head)):
        return True
    return False if stated in _TEXT_TYPES or stated in _NO_TYPES else None


class RowMaker:
    """Makes the rows of one partition; one per process, since it holds the language model and the user's lists."""

    def __init__(self, key: PartitionKey, config: CleanConfig, takedowns: TakedownList | None = None) -> None:
        self._key = key
        self._config = config
        self._takedowns = takedowns or TakedownList()
        self._identifier = Identifier()
        self._classifier = named_classifier(config)
        self._listed = Listed(config.lists)
        self._listed.load()
        self._url_rules = [rule for rule in config.active_rules() if RULES[rule].about == "url"]

    def row(self, item: Item | DeadItem) -> Row:
        """The table that the item goes to, and its row there."""
        item = _with_storable_fields(item)
        if self._takedowns.has_url(url_key(item.url)):
            about = {"url": item.url, "source": self._key.source, "partition": self._key.partition}
            return "dropped", takedown_row({**about, **_address(item.address)}, self._config)
        table, row = self._made_row(item)
        if self._takedowns.has_id(row.get("document_id")):
            return "dropped", takedown_row(row, self._config)
        return table, row

    def _made_row(self, item: Item | DeadItem) -> Row:
        if isinstance(item, DeadItem):
            return "dead", dead_row(item.address, item.name, item.message, item.url, self._key)
        try:
            refused = self._refusal(item)
            is_html = _is_html(item) if not refused and item.text is None else False
            if is_html is None:
                refused = "content-type"
            if refused:
                return "dropped", self._dropped(item, refused)
            return self._blocked(item) or self._judged(item, bool(is_html))
        except ItemError as error:
            return "dead", dead_row(item.address, error.name, str(error), item.url, self._key)

    def _refusal(self, item: Item) -> str | None:
        if item.refused:
            return item.refused
        if item.kind == "revisit":
            return "revisit"
        return "http-status" if item.status is not None and item.status != 200 else None

    def _blocked(self, item: Item) -> Row | None:
        """The row of a page whose URL is refused, which then costs no extraction."""
        values = {rule: self._listed.url_value(rule, item.url) for rule in self._url_rules}
        if all(passes(rule, value, self._config, None) for rule, value in values.items()):
            return None
        judged = judge(self._config, values.__getitem__, None)  # asks for no other rule, since one about the URL fails
        row = {**self._about(item, None), "scores": sorted(judged.scores.items())}
        return "dropped", {**row, "rules": list(judged.failed), "unevaluated": list(judged.unevaluated)}

    def _asked_about_url(self, item: Item) -> dict[str, Any]:
        """What rules said of a page that had no text for the others."""
        scores = {rule: self._listed.url_value(rule, item.url) for rule in self._url_rules}
        left = [rule for rule in self._config.active_rules() if rule not in scores]
        return {"scores": sorted(scores.items()), "unevaluated": left} if scores else {}

    def _page(self, item: Item, is_html: bool) -> _Page:
        if item.text is not None:
            return _Page(normalize(item.text), None, PageFacts(title=normalize_line(item.title)))
        content, charset = decode_body(item.body, item.content_type, html=is_html)
        if not is_html:
            return _Page(normalize(content), charset, PageFacts())
        source = utf8_of(item.body, content, charset)
        parsed = parse_page(source, self._config.max_html_nodes, self._config.max_html_depth)
        facts = parsed.facts()  # before extraction, which may change the tree
        return _Page(normalize(extract_text(parsed, self._config.extractor)), charset, facts)

    def _about(self, item: Item, page: _Page | None) -> dict[str, Any]:
        facts = page.facts if page else PageFacts()
        policies = [policy for policy in (normalize_line(item.robots), facts.robots) if policy]
        return {
            "url": item.url,
            "url_key": url_key(item.url),
            "source": self._key.source,
            "partition": self._key.partition,
            "title": facts.title,
            "published": facts.published,
            "license": facts.license,
            "robots_policy": ", ".join(policies).lower() or None,
            "content_type": item.content_type,
            "charset": page.charset if page else None,
            **_address(item.address),
        }

    def _dropped(self, item: Item, rule: str, page: _Page | None = None) -> dict[str, Any]:
        return {**self._about(item, page), "rules": [rule], "unevaluated": list(self._config.active_rules())}

    def _judged(self, item: Item, is_html: bool) -> Row:
        page = self._page(item, is_html)
        if not page.text:
            return "dropped", {**self._dropped(item, "no-text", page), **self._asked_about_url(item)}
        stated = stated_language(item.language)
        language, score = (stated, None) if stated else self._identifier.identify(page.text)
        verdict = evaluate(page.text, language, score, self._config, item.url, self._listed, self._classifier)
        if not verdict.text:
            left = [rule for rule in self._config.active_rules() if rule not in verdict.scores]
            said = {"language": language, "language_score": score, "scores": sorted(verdict.scores.items())}
            return "dropped", {**self._dropped(item, "no-text", page), **said, "unevaluated": left}
        digest = content_hash(verdict.text)
        row = {
            "document_id": document_id(self._key.source, item.record_key, digest),
            "content_hash": digest,
            **self._about(item, page),
            "language": language,
            "language_score": score,
            # Of dropped rows nothing else says how long their text was.
            "scores": sorted({**verdict.scores, "characters": float(len(verdict.text))}.items()),
        }
        if verdict.failed:
            return "dropped", {**row, "rules": list(verdict.failed), "unevaluated": list(verdict.unevaluated)}
        row["text"] = verdict.text
        ends = verdict.sentence_ends
        row["sentence_ends"] = sentence_ends(verdict.text, language) if ends is None else ends
        return "documents", row


def settle_repeats(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Of rows with one document_id keep the least (captured_at, null last; row hash); the others are dropped.

    It sees all rows of a bucket, and a bucket holds all rows of an id.
    """
    documents = tables["documents"]
    ids = documents.column("document_id").to_pylist()
    if len(set(ids)) == len(ids):
        return tables
    times = documents.column("captured_at").to_pylist()
    ranks = [
        (one_id, time is None, time.timestamp() if time else 0.0, one_hash, index)
        for index, (one_id, time, one_hash) in enumerate(zip(ids, times, row_hashes(documents), strict=True))
    ]
    kept: list[int] = []
    repeats: list[int] = []
    for rank in sorted(ranks):
        first = not kept or ids[kept[-1]] != rank[0]
        (kept if first else repeats).append(rank[-1])
    extra = documents.take(repeats).drop_columns(["text"]).to_pylist()
    rows = [{**row, "rules": ["repeat"], "unevaluated": []} for row in extra]
    dropped = pa.concat_tables([tables["dropped"], pa.Table.from_pylist(rows, schema=DROPPED)])
    return {**tables, "documents": documents.take(kept), "dropped": dropped}
