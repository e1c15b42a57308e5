"""Settings of the Prefect server and workers that `corpusmill up` keeps up on this machine."""

from __future__ import annotations

from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from schemas.configs.base import StageConfig

__all__ = ["UpConfig", "database_url"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_DRIVER = "postgresql+asyncpg"
_SCHEMES = frozenset({"postgres", "postgresql", _DRIVER})


def database_url(given: str) -> str:
    """A PostgreSQL URL as the server's driver takes it; empty stays empty, which is SQLite.

    Raises:
        ValueError: it is no such URL; the message does not repeat it, for the password that may be in it.
    """
    if not given:
        return ""
    scheme, _, rest = given.partition("://")
    if scheme not in _SCHEMES or not urlsplit(f"//{rest}").path.strip("/"):
        raise ValueError("a database is postgresql://USER@HOST:PORT/NAME, or empty for SQLite")
    return f"{_DRIVER}://{rest}"


class UpConfig(StageConfig):
    """Where the server listens, where it keeps its data, and how much runs at once."""

    stage: ClassVar[str] = "up"

    host: str = Field(
        "127.0.0.1",
        pattern=r"^[A-Za-z0-9.:_-]+$",
        title="Host",
        description="Address that the server listens on; the loopback is reached from this machine alone.",
    )
    port: int = Field(4200, ge=0, le=65535, title="Port", description="Port of the UI and the API; 0: any free one.")
    url: str = Field(
        "",
        pattern=r"^$|^https?://[^/\s]+$",
        title="Address",
        description="Under which browsers reach the server, such as that of a proxy; empty: host and port.",
    )
    database: str = Field(
        "",
        title="Database",
        description="postgresql://USER@HOST:PORT/NAME; empty: SQLite in the home folder, for one worker.",
    )
    folder: str = Field(
        "",
        title="Working folder",
        description="Where flows run: relative paths in forms are below it; empty: where `up` was first called.",
    )
    auth: bool = Field(True, title="Password", description="Whether the server asks for the password it has made.")
    workers: int = Field(1, ge=1, le=16, title="Workers", description="Processes that start flow runs.")
    runs: int = Field(8, ge=1, le=256, title="Runs", description="Flow runs of one worker at once.")
    data_runs: int = Field(2, ge=1, le=256, title="Data runs", description="Runs of the queue `data` at once.")
    evaluate_runs: int = Field(
        2, ge=1, le=256, title="Evaluation runs", description="Runs of the queue `evaluate` at once."
    )
    gpu_slots: int | None = Field(
        None, ge=1, le=64, title="GPU slots", description="Trainings at once; empty: one a GPU, or one on the CPU."
    )
    heartbeat_seconds: int = Field(
        60, ge=30, le=3600, title="Heartbeat", description="Seconds between two signs of life of a flow run."
    )
    lost_after_seconds: int = Field(
        180, ge=60, le=36_000, title="Lost after", description="Seconds of silence after which a run counts as crashed."
    )
    grace_seconds: float = Field(
        40.0,
        ge=1,
        le=3600,
        title="Grace",
        description="Seconds that `corpusmill down` leaves runs to save what they have; then they are killed.",
    )

    @field_validator("database")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if urlsplit(database_url(value)).password:
            raise ValueError(
                "a password is not for settings; give the whole URL in the environment, as CORPUSMILL_DATABASE_URL"
            )
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.auth and self.host not in _LOOPBACK:
            raise ValueError(f"auth=false is for the loopback, and host is {self.host}; leave auth on")
        if self.lost_after_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"lost_after_seconds={self.lost_after_seconds} is less than two heartbeats of "
                f"{self.heartbeat_seconds} s; raise it, or runs that live count as crashed"
            )
        return self
