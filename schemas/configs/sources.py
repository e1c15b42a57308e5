"""Settings of where `clean` reads from: Common Crawl, columns of rows, and how remote files are read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ColumnNames", "CommonCrawlConfig", "FetchConfig"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColumnNames(_Settings):
    """What the columns of JSONL and Parquet rows are called; a missing column other than the text's is no problem.

    A dot leads into an object, as in `metadata.url`, for all but the text.
    """

    text: str = Field("text", min_length=1, title="Text", description="column that holds the text")
    id: str = Field("id", min_length=1, title="Id", description="column that holds the row's own id")
    url: str = Field("url", min_length=1, title="URL", description="column that holds the URL")
    date: str = Field("date", min_length=1, title="Date", description="column that holds the time of capture")
    title: str = Field("title", min_length=1, title="Title", description="column that holds the title")
    language: str = Field("language", min_length=1, title="Language", description="column that holds the language")


class CommonCrawlConfig(_Settings):
    """Which files of Common Crawl make a partition.

    What is not given comes from the partition's name: `CC-MAIN-2024-22/00012` is one file, and
    `CC-MAIN-2024-22/00000-00009` are ten.
    """

    snapshot: str | None = Field(
        None,
        pattern=r"^CC-MAIN-\d{4}(-\d{2,4})?$",
        title="Snapshot",
        description="id of the crawl, such as CC-MAIN-2024-22; from the partition's name where not given",
    )
    kind: Literal["warc", "wet"] = Field("warc", title="Kind", description="pages as HTML, or text already extracted")
    first: int | None = Field(
        None, ge=0, le=10**6, title="First file", description="position in the listing, counted from 0"
    )
    last: int | None = Field(None, ge=0, le=10**6, title="Last file", description="position in the listing, inclusive")
    base_url: str = Field(
        "https://data.commoncrawl.org/",
        min_length=1,
        title="Base URL",
        description="any fsspec URL below which crawl-data/ lies, such as s3://commoncrawl/ or a mirror",
    )


class FetchConfig(_Settings):
    """How stubbornly remote files are read; changes nothing of what is written."""

    attempts: int = Field(
        8, ge=1, le=100, title="Attempts", description="failures in a row before the partition is given up"
    )
    first_wait_seconds: float = Field(
        1.0, ge=0, le=600, title="First wait", description="seconds before the second attempt; doubles each time"
    )
    longest_wait_seconds: float = Field(
        120.0, ge=0, le=3600, title="Longest wait", description="seconds, also where a server asks for more"
    )
    timeout_seconds: float = Field(
        60.0,
        gt=0,
        le=3600,
        title="Silence allowed",
        description="seconds without a byte",
    )
