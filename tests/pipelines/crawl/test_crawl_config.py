from __future__ import annotations

from typing import Any

import pytest

from schemas.configs.base import load_config
from schemas.configs.crawl import CrawlConfig
from schemas.errors import ConfigError

SEED = ["https://example.org/"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"crawl\.seed_urls: there is nothing to start from; give at least one URL \(--seed-url URL\)"),
        ({"seed_urls": ["example.org"]}, r"'example\.org' is no web address; give one like https://example\.org/"),
        ({"seed_urls": ["ftp://example.org/"]}, "is no web address"),
        ({"seed_urls": ["http://"]}, "is no web address"),
        ({"seed_urls": ["http://example.org:99999/"]}, "is no web address"),
        ({"seed_urls": ["http://me:secret@example.org/"]}, "without a password"),
        ({"seed_urls": SEED, "delay_seconds": -1}, r"crawl\.delay_seconds: .*greater than or equal to 0, got -1"),
        ({"seed_urls": SEED, "max_pages": 0}, r"crawl\.max_pages: .*greater than or equal to 1"),
        ({"seed_urls": SEED, "max_depth": -1}, r"crawl\.max_depth"),
        ({"seed_urls": SEED, "user_agent": "1bot"}, "a user agent starts with a name of letters"),
        ({"seed_urls": SEED, "user_agent": "bot\r\nCookie: x"}, "a user agent starts with a name of letters"),
        (
            {"seed_urls": SEED, "connect_to": {"example.org": "127.0.0.1:80"}},
            "'example.org' is not of the form host:port",
        ),
        ({"seed_urls": SEED, "connect_to": {"a:80": "b:99999"}}, "'b:99999' is not of the form host:port"),
        ({"seed_urls": SEED, "content_types": []}, r"crawl\.content_types"),
        ({"seed_urls": SEED, "max_page": 3}, r"crawl\.max_page: unknown key; did you mean 'max_pages'\?"),
    ],
)
def test_wrong_settings_are_named_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(CrawlConfig, **values)
    assert "\n" not in str(caught.value)


def test_what_does_not_change_the_pages_is_not_in_the_fingerprint() -> None:
    plain = CrawlConfig(seed_urls=("http://site.example/",))
    other = CrawlConfig(
        seed_urls=("http://site.example/",),
        connect_to={"SITE.example:80": "127.0.0.1:1234"},
        delay_seconds=0,
        retry_seconds=0,
        warc_bytes=5,
    )
    assert plain.fingerprint_view() == other.fingerprint_view()
    assert other.connect_to == {"site.example:80": "127.0.0.1:1234"}
    assert plain.fingerprint_view() != plain.model_copy(update={"max_pages": 3}).fingerprint_view()


def test_settings_that_went_through_json_have_the_same_fingerprint() -> None:
    config = CrawlConfig(seed_urls=("http://site.example/",))
    assert CrawlConfig.model_validate_json(config.model_dump_json()).fingerprint_view() == config.fingerprint_view()
