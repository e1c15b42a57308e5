"""The command lines and environments of a server and its workers."""

from __future__ import annotations

import os
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from flows.keeping.keeper import Daemon
from flows.launch import start_supervised
from flows.prefect_server import own_settings, server_command, without_prefect
from flows.services.gpu_slots import LIMIT_VARIABLE, limit_name
from flows.services.home import HOME_VARIABLE, ServicesDescription, auth_string
from schemas.configs.up import UpConfig, database_url
from schemas.errors import ConfigError
from schemas.lease import process_start

__all__ = [
    "DATABASE_VARIABLE",
    "POOL",
    "WEBHOOK_VARIABLE",
    "ServicesPlan",
    "client_environment",
    "gpu_count",
    "read_settings",
    "write_settings",
]

POOL = "local"
_SETTINGS = "settings.json"
DATABASE_VARIABLE = "CORPUSMILL_DATABASE_URL"
WEBHOOK_VARIABLE = "CORPUSMILL_WEBHOOK_URL"
# For the server alone, or for setting it up.
_SECRETS = frozenset({DATABASE_VARIABLE, WEBHOOK_VARIABLE, "PGPASSWORD"})
# It writes down what tasks did every five seconds, and what is left of it when it is asked to stop.
_SERVER_STOP_SECONDS = 30.0
_GPU_DEVICE = re.compile(r"nvidia\d+")


def write_settings(home: Path, config: UpConfig) -> None:
    """Put the settings down for the keeper; no secret is among them."""
    (home / _SETTINGS).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_settings(home: Path) -> UpConfig:
    """The settings of a server that is up, or on its way up."""
    return UpConfig.model_validate_json((home / _SETTINGS).read_text(encoding="utf-8"))


def gpu_count() -> int:
    """How many GPUs this machine has for us, told without loading torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in {"", "-1"}])
    devices = Path("/dev")
    return sum(_GPU_DEVICE.fullmatch(one.name) is not None for one in devices.iterdir()) if devices.is_dir() else 0


def client_environment(home: Path, about: ServicesDescription, config: UpConfig) -> dict[str, str]:
    """The environment of what talks to a server: nothing of the user's own Prefect, and no secret but the password."""
    env = {
        **without_prefect(),
        **own_settings(home),
        "PREFECT_API_URL": about.api,
        "PREFECT_UI_URL": about.url,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(config.heartbeat_seconds),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows",  # what steps tell is in the UI
        HOME_VARIABLE: str(home),
        LIMIT_VARIABLE: about.gpu_limit,
    }
    auth = auth_string(home)
    if auth:
        env["PREFECT_API_AUTH_STRING"] = auth
    return {name: value for name, value in env.items() if name not in _SECRETS}


@dataclass(frozen=True)
class ServicesPlan:
    """Everything about a server and its workers that is decided before they start.

    Attributes:
        config: the user's settings.
        home: where files lie.
        listener: the socket that it serves.
    """

    config: UpConfig
    home: Path
    listener: socket.socket

    @property
    def listens(self) -> str:
        """Where this machine reaches the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        """Where browsers reach it."""
        return self.config.url or self.listens

    @property
    def gpu_slots(self) -> int:
        """As given, or the number of GPUs, or one."""
        return self.config.gpu_slots or gpu_count() or 1

    @property
    def database(self) -> str:
        """The URL of the database, password and all; empty: SQLite.

        Raises:
            ConfigError: what the environment says is no such URL.
        """
        try:
            return database_url(os.environ.get(DATABASE_VARIABLE, "")) or database_url(self.config.database)
        except ValueError as error:
            raise ConfigError(f"{DATABASE_VARIABLE} in the environment: {error}") from error

    def describe(self) -> ServicesDescription:
        """What others have to know."""
        return ServicesDescription(
            listens=self.listens,
            url=self.url,
            folder=self.config.folder,
            database="PostgreSQL" if self.database else "SQLite",
            workers=self.config.workers,
            gpu_limit=limit_name(),
            gpu_slots=self.gpu_slots,
            keeper_pid=os.getpid(),
            keeper_start=process_start(os.getpid()),
        )

    def server(self) -> Daemon:
        """Prefect's server, with its UI."""
        env = {
            **{name: value for name, value in without_prefect().items() if name != WEBHOOK_VARIABLE},
            **own_settings(self.home),
            "PREFECT_API_URL": f"{self.listens}/api",
            "PREFECT_UI_URL": self.url,
            "PREFECT_UI_API_URL": f"{self.url}/api",
            "PREFECT_UI_STATIC_DIRECTORY": str(self.home / "ui"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.url,
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # SQLite has one writer at a time; on busy cores others waited for more than the default of 10 s.
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
        }
        auth = auth_string(self.home)
        if auth:
            env["PREFECT_SERVER_API_AUTH_STRING"] = auth
        if self.database:
            env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self.database
        else:
            # The service changes ten runs at a time, SQLite refuses nine of them, and each is tried again: beside it a
            # thousand runs took five minutes to make, and 100 s without it.
            env["PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED"] = "false"
        descriptor = self.listener.fileno()
        return Daemon(
            "server",
            tuple(server_command(self.listener)),
            env,
            pass_fds=(descriptor,),
            stop_seconds=_SERVER_STOP_SECONDS,
            start=start_supervised,
        )

    def workers(self) -> list[Daemon]:
        """Workers of the pool, each polling all of its queues."""
        env = client_environment(self.home, self.describe(), self.config)
        names = [f"worker-{number}" for number in range(1, self.config.workers + 1)]
        words = ("worker", "start", "--type", "process", "--pool", POOL, "--limit", str(self.config.runs))
        return [
            Daemon(
                name,
                (sys.executable, "-m", "prefect", *words, "--name", f"{socket.gethostname()}-{name}"),
                env,
                stop_seconds=self.config.grace_seconds,
                start=start_supervised,
            )
            for name in names
        ]
