"""A real Prefect server with workers on the loopback, driven as users drive it, and flows that do little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import yaml
from processes import PATIENCE_SECONDS, marked, wait_until

from flows.services.home import HOME_VARIABLE, auth_string, read_services
from flows.services.rest import PrefectRest

# In a URL as webhooks have them, this would let others write there.
PLANTED = "s3cr3t-w3bh00k-t0k3n"
_WORKING_FOLDER = "prefect.deployments.steps.set_working_directory"
_PROBES = [
    {
        "name": "local",
        "entrypoint": f"{Path(__file__).with_name('probe_flows.py')}:{name}",
        "work_pool": {"name": "local", "work_queue_name": "data"},
    }
    for name in ("probe_note", "probe_fail", "probe_hold", "probe_tree", "probe_event")
]


@dataclass(frozen=True)
class Said:
    """What a command that has ended said."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Its last line."""
        return dict(json.loads(self.out.splitlines()[-1]))


@dataclass(frozen=True)
class Services:
    """A server in a home of its own.

    Attributes:
        home: where its files lie.
        settings: as given to `up`.
        env: beside our own.
        folder: where commands are called.
    """

    home: Path
    settings: tuple[str, ...] = ("port=0",)
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def environment(self) -> dict[str, str]:
        return {**os.environ, HOME_VARIABLE: str(self.home), **self.env}

    def call(self, *words: str, env: Mapping[str, str] | None = None) -> Said:
        """Run `corpusmill` against this server."""
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *words],
            env={**self.environment(), **(env or {})},
            cwd=self.folder or self.home.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=3 * PATIENCE_SECONDS,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def up(self) -> dict[str, Any]:
        said = self.call("up", *(word for one in self.settings for word in ("--set", one)), "--json")
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.home.glob("log/*.log"))
        assert said.code == 0, f"{said.err}\n{logs}"
        return said.json()

    def down(self) -> None:
        said = self.call("down")
        assert said.code == 0, said.err

    def status(self) -> dict[str, Any]:
        return self.call("status", "--json").json()

    def processes(self) -> list[psutil.Process]:
        """All that run for this server."""
        return marked(HOME_VARIABLE, str(self.home))

    def daemon(self, name: str) -> int:
        """Pid of a daemon, now; 0 while it is being started again."""
        return int(json.loads((self.home / "processes.json").read_text()).get(name, 0))

    def rest(self) -> PrefectRest:
        about = read_services(self.home)
        assert about is not None
        return PrefectRest(about.api, auth_string(self.home), seconds=PATIENCE_SECONDS)

    def python(self, *words: str) -> str:
        """Run Python with Prefect's settings for this server; gives what it printed."""
        about = read_services(self.home)
        assert about is not None
        env = {
            **self.environment(),
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": about.api,
            "PREFECT_API_AUTH_STRING": auth_string(self.home) or "",
            "DO_NOT_TRACK": "1",
            "PWD": str(self.folder or self.home.parent),
        }
        done = subprocess.run(
            [sys.executable, *words],
            env=env,
            cwd=self.folder or self.home.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def deploy_probes(self) -> None:
        """Make deployments of the flows that do little, on the queue `data`."""
        file = self.home / "probes.yaml"
        file.write_text(
            yaml.safe_dump({"pull": [{_WORKING_FOLDER: {"directory": "{{ $PWD }}"}}], "deployments": _PROBES})
        )
        self.python("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file))

    def run(self, flow: str, **parameters: Any) -> str:
        """Ask for a run of a deployment `FLOW/local`; gives its id."""
        rest = self.rest()
        deployment = rest.get(f"/deployments/name/{flow}/local")
        made = rest.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            {"parameters": parameters, "state": {"type": "SCHEDULED"}},
        )
        return str(made["id"])

    def state(self, run: str) -> dict[str, Any]:
        """The state of a run: type and message."""
        return dict(self.rest().get(f"/flow_runs/{run}")["state"])

    def wait_for(self, run: str, *types: str) -> dict[str, Any]:
        """Wait until a run is in one of these states; gives it."""

        def there() -> dict[str, Any] | None:
            state = self.state(run)
            assert state["type"] in {*types, "SCHEDULED", "PENDING", "RUNNING", "CANCELLING"}, state
            return state if state["type"] in types else None

        return dict(wait_until(there, f"{run} to be {' or '.join(types)}"))

    def texts(self) -> Iterator[tuple[str, str]]:
        """Whatever can be read of it without its password: command lines of processes, logs, settings; each by name."""
        for process in self.processes():
            try:
                yield f"arguments of {process.pid}", " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
        for path in self.home.rglob("*"):
            if path.is_file() and path.suffix in {".log", ".json", ".jsonl", ".toml"} and "ui" not in path.parts:
                yield str(path), path.read_text(errors="replace")


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on the loopback: its URL, and what it has got so far."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append({**json.loads(body), "content_type": self.headers["Content-Type"], "path": self.path})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def told_of(got: list[dict[str, Any]], condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Wait until the webhook has got a call that meets a condition; gives the call."""
    return dict(wait_until(lambda: next((one for one in list(got) if condition(one)), None), what))
