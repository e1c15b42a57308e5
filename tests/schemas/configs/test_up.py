"""Settings of `corpusmill up`: what is refused, and that no password is repeated."""

from __future__ import annotations

import pytest

from schemas.configs.base import load_config
from schemas.configs.up import UpConfig, database_url
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", ""),
        ("postgresql://mill@db:5432/prefect", "postgresql+asyncpg://mill@db:5432/prefect"),
        ("postgres://mill:x@db/prefect?ssl=require", "postgresql+asyncpg://mill:x@db/prefect?ssl=require"),
        ("postgresql+asyncpg://db/prefect", "postgresql+asyncpg://db/prefect"),
    ],
)
def test_database_urls(given: str, made: str) -> None:
    assert database_url(given) == made


@pytest.mark.parametrize("given", ["mysql://db/prefect", "sqlite:///x.db", "postgresql://db", "db/prefect"])
def test_other_databases_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="a database is postgresql://USER@HOST:PORT/NAME, or empty for SQLite"):
        load_config(UpConfig, overrides=[f"database={given}"])


def test_a_password_is_not_for_settings_and_is_not_repeated() -> None:
    for password in ("hunter2", "x" * 200):
        with pytest.raises(ConfigError, match="CORPUSMILL_DATABASE_URL") as caught:
            load_config(UpConfig, overrides=[f"database=postgresql://mill:{password}@db/prefect"])
        assert password[:5] not in str(caught.value)
        assert "://mill:***@" in str(caught.value)


def test_no_open_server_without_a_password() -> None:
    assert load_config(UpConfig, overrides=["auth=false"]).auth is False
    with pytest.raises(ConfigError, match=r"auth=false is for the loopback, and host is 0\.0\.0\.0; leave auth on"):
        load_config(UpConfig, overrides=["auth=false", "host=0.0.0.0"])


def test_a_run_may_miss_a_heartbeat() -> None:
    with pytest.raises(ConfigError, match="lost_after_seconds=100 is less than two heartbeats of 60 s; raise it"):
        load_config(UpConfig, overrides=["lost_after_seconds=100"])
