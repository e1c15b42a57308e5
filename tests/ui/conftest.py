"""One server, one worker and the deployments of `prefect.yaml`, for all tests of this folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect_api import PrefectApi
from processes import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(home: Path, address: str) -> dict[str, str]:
    """The environment of a process that talks to the server; nothing of the user's own Prefect is in it."""
    mine = {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}, **mine}


@contextmanager
def running(env: Mapping[str, str], log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A long-lived `prefect` command; all of its process group ends with the body."""
    command = [sys.executable, "-m", "prefect", *words]
    with log.open("ab") as said:
        one = subprocess.Popen(command, cwd=REPOSITORY, env=env, stdout=said, stderr=said, start_new_session=True)
        try:
            yield one
        finally:
            os.killpg(one.pid, signal.SIGTERM)
            try:
                one.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prefect") / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[PrefectApi]:
    """A server that knows our deployments; no worker takes their runs."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    api = PrefectApi(f"http://127.0.0.1:{port}")
    env = environment(home, api.address)
    with running(env, home / "server.log", "server", "start", "--host", "127.0.0.1", "--port", str(port)) as process:

        def answers() -> bool:
            assert process.poll() is None, (home / "server.log").read_text()
            try:
                return bool(api.ask("health"))
            except OSError:
                return False

        wait_until(answers, "the Prefect server")
        for words in (("work-pool", "create", "local", "--type", "process"), ("--no-prompt", "deploy", "--all")):
            command = [sys.executable, "-m", "prefect", *words]
            done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        yield api


@pytest.fixture(scope="session")
def worker(server: PrefectApi, home: Path) -> Iterator[PrefectApi]:
    """The same server with a worker, from the first test on that wants one."""
    with running(
        environment(home, server.address), home / "worker.log", "worker", "start", "--pool", "local", "--name", "tests"
    ):
        yield server


# A corpus of a few pages has few words to learn from, and few windows.
SETTINGS = """
[clean]
extractor = "resiliparse"
rules = []

[tokenizer]
vocabulary_size = 400

[mix]
sequence_length = 16
"""


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings for a corpus of a few pages."""
    place = tmp_path_factory.mktemp("settings") / "small.toml"
    place.write_text(SETTINGS)
    return place
