"""Every format that `clean` reads, in the order in which they are asked whether they know a file.

docs/adding-a-source.md shows how to add one.
"""

from __future__ import annotations

from pipelines.sources.archives import ARC, WARC
from pipelines.sources.jsonl import JSONL
from pipelines.sources.parquet import PARQUET
from pipelines.sources.source_format import SourceFormat
from pipelines.sources.whole_files import HTML, TEXT
from pipelines.sources.wiki_dump import WIKI_DUMP

__all__ = ["FORMATS", "format_named"]

FORMATS: tuple[SourceFormat, ...] = (WARC, ARC, PARQUET, JSONL, WIKI_DUMP, HTML, TEXT)


def format_named(name: str) -> SourceFormat:
    """The format of this name."""
    return next(one for one in FORMATS if one.name == name)
