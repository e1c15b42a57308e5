"""A Prefect server of our own: a process beside this one, with SQLite, that ends when this one does.

Everything of it lies in one folder, so that nothing of the user's own Prefect profile is read or written. It holds the
history of runs and nothing that a later run needs.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from flows.launch import start_guarded, stop_group
from schemas.errors import StageError

__all__ = [
    "EmbeddedServer",
    "close_interrupted_runs",
    "listening_socket",
    "own_settings",
    "server_command",
    "start_server",
    "ui_command",
    "use_server",
    "without_prefect",
]

# A first start makes the database: 13 s on two free cores.
_START_SECONDS = 400.0
# It writes down what tasks did every five seconds, and what is left of it when it is asked to stop: killed before, on
# busy cores, it would forget the last of them.
_STOP_SECONDS = 30.0


def without_prefect() -> dict[str, str]:
    """The environment without any setting of Prefect's: what is left of somebody else's server leads elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def own_settings(home: Path) -> dict[str, str]:
    """Settings that keep a Prefect process in one folder, away from the user's own profile, and silent."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that a server is to serve; port 0 is any free one.

    It is handed over: nobody else can take the port in between, and a request that comes while the server is still
    starting waits for it.

    Raises:
        OSError: the port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def server_command(listener: socket.socket) -> list[str]:
    """The command of a server that serves a socket; its settings are in its environment."""
    argv = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    return [*argv, "--fd", str(listener.fileno()), "--log-level", "error", "--no-access-log"]


def use_server(home: Path, url: str, auth: str | None = None) -> None:
    """Let flows of this process talk to a server of ours; before the first import of Prefect.

    Args:
        home: the server's folder.
        url: of its API.
        auth: what it asks for, if anything.

    Raises:
        StageError: Prefect is imported already, and has read other settings.
    """
    if "prefect" in sys.modules:
        raise StageError("Prefect was imported before its settings were made")
    for name in set(os.environ) - set(without_prefect()):
        del os.environ[name]
    os.environ.update(
        {
            **own_settings(home),
            "PREFECT_API_URL": url,
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
            **({"PREFECT_API_AUTH_STRING": auth} if auth else {}),
        }
    )


def ui_command(home: Path) -> str:
    """The command that serves the history of a stopped server, and its UI, at http://127.0.0.1:4200."""
    settings = " ".join(f"{name}={value}" for name, value in own_settings(home).items())
    return f"env {settings} {Path(sys.executable).with_name('prefect')} server start"


class EmbeddedServer:
    """A server with its database in `home`, starting from now on; `url` is that of its API."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self._process = self._start()

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}/api"

    def _start(self) -> subprocess.Popen[bytes]:
        self.home.mkdir(parents=True, exist_ok=True)
        with listening_socket("127.0.0.1", self.port) as listener, (self.home / "server.log").open("ab") as log:
            self.port = listener.getsockname()[1]
            settings = {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"}
            env = {**without_prefect(), **own_settings(self.home), "PREFECT_API_URL": self.url, **settings}
            return start_guarded(
                server_command(listener), env=env, stdout=log, stderr=log, pass_fds=(listener.fileno(),)
            )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=_START_SECONDS) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def require_up(self) -> None:
        """Wait until the server answers. One that cannot read what a killed server left begins with an empty history.

        Raises:
            StageError: it does not start.
        """
        if self._answers():
            return
        self.stop()
        last_words = (self.home / "server.log").read_text(errors="replace").strip().splitlines()[-1:]
        shutil.rmtree(self.home)
        self._process = self._start()
        if not self._answers():
            raise StageError(f"the Prefect server did not start: {' '.join(last_words) or 'it said nothing'}")

    def stop(self) -> None:
        """End it."""
        stop_group(self._process, signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            stop_group(self._process)
            self._process.wait()


def close_interrupted_runs() -> int:
    """Mark runs that a kill left as running for ever as crashed; gives how many there were.

    Only for a server that nobody else uses, before its first new run.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    unfinished = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=unfinished)))
        for run in runs:
            client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
    return len(runs)


def start_server(home: Path) -> EmbeddedServer:
    """Start a server that is there until the very end of this process.

    Prefect sends what it still has to say when the interpreter exits, in functions that it registers on import and
    that run before those registered earlier, such as the one here.
    """
    server = EmbeddedServer(home)
    atexit.register(server.stop)
    return server
