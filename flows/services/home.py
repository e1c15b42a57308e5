"""The home of a Prefect server of ours: where its files lie, where it is reached, and what it asks for."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.prefect_server import use_server
from schemas.errors import InputError
from schemas.lease import process_start

__all__ = [
    "AUTH_FILE",
    "HOME_VARIABLE",
    "ServicesDescription",
    "auth_string",
    "connect",
    "description_file",
    "make_auth_string",
    "prefect_command",
    "read_services",
    "services_home",
]

HOME_VARIABLE = "CORPUSMILL_PREFECT"
AUTH_FILE = "auth"
_DESCRIPTION = "services.json"
_USER = "corpusmill"


class ServicesDescription(BaseModel):
    """A server that is up, with workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listens: str = Field(description="http://host:port, as this machine reaches it")
    url: str = Field(description="as browsers reach it")
    folder: str = Field(description="where flows run")
    database: str = Field(description="`SQLite` or `PostgreSQL`")
    workers: int = Field(description="processes that start flow runs")
    gpu_limit: str = Field(description="name of the concurrency limit that trainings take a slot of")
    gpu_slots: int = Field(description="trainings at once")
    keeper_pid: int = Field(description="process that keeps all of it up")
    keeper_start: str | None = Field(description="tells that process from a later one of the same pid")

    @property
    def api(self) -> str:
        """URL of the API."""
        return f"{self.listens}/api"


def services_home(given: str | None = None) -> Path:
    """The folder of the server's files: as given, or `$CORPUSMILL_PREFECT`, or `~/.corpusmill/prefect`."""
    return Path(given or os.environ.get(HOME_VARIABLE) or Path.home() / ".corpusmill" / "prefect").absolute()


def description_file(home: Path) -> Path:
    """Where the description lies while the server is up."""
    return home / _DESCRIPTION


def read_services(home: Path) -> ServicesDescription | None:
    """What is up in a home; None where nothing is.

    Raises:
        InputError: the description is damaged.
    """
    try:
        text = description_file(home).read_text(encoding="utf-8")
    except OSError:
        return None
    try:
        about = ServicesDescription.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{description_file(home)}: {first['msg']}; stop what runs there with `corpusmill down`, and start it again"
        ) from error
    return about if process_start(about.keeper_pid) == about.keeper_start else None


def auth_string(home: Path) -> str | None:
    """What the server asks for, `user:password`; None where it asks for nothing."""
    try:
        return (home / AUTH_FILE).read_text(encoding="utf-8").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_auth_string(home: Path) -> str:
    """The same, made where there is none yet, in a file that only its owner reads."""
    known = auth_string(home)
    if known is not None:
        return known
    made = f"{_USER}:{secrets.token_urlsafe(24)}"
    descriptor = os.open(home / AUTH_FILE, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{made}\n")
    return made


def prefect_command(home: Path, about: ServicesDescription) -> str:
    """The words with which a user's own `prefect` reaches the server; the password is not among them."""
    words = [f"PREFECT_API_URL={about.api}"]
    if auth_string(home) is not None:
        words.append(f'PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(home / AUTH_FILE))})"')
    return " ".join(["env", *words, shlex.quote(str(Path(sys.executable).with_name("prefect")))])


def connect(given: str | None = None) -> ServicesDescription:
    """Let this process talk to the server that is up; before the first import of Prefect.

    Args:
        given: the server's home; see `services_home`.

    Raises:
        InputError: none is up.
        StageError: Prefect is imported already, and has read other settings.
    """
    home = services_home(given)
    about = read_services(home)
    if about is None:
        raise InputError(
            f"no Prefect server is up in {home}; start one with `corpusmill up`, or set {HOME_VARIABLE} to its home"
        )
    use_server(home, about.api, auth_string(home))
    return about
