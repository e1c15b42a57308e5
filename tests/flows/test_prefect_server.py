"""A Prefect server of our own: in its folder, at its port, gone when it should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from processes import alive, wait_until

from flows.prefect_server import EmbeddedServer, ui_command, use_server
from schemas.errors import StageError

pytestmark = pytest.mark.slow


def ask(server: EmbeddedServer, path: str):
    """The answer of the API."""
    with urllib.request.urlopen(f"{server.url}/{path}", timeout=180) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server whose database has been made."""
    home = tmp_path_factory.mktemp("prefect") / "home"
    server = EmbeddedServer(home)
    server.require_up()
    assert ask(server, "health") is True
    server.stop()
    return home


def test_a_database_that_a_kill_has_damaged_is_made_anew(home: Path):
    with (home / "prefect.db").open("r+b") as stream:
        stream.write(b"no database at all" * 10)
    for name in ("prefect.db-wal", "prefect.db-shm"):
        (home / name).unlink(missing_ok=True)
    server = EmbeddedServer(home)
    port = server.port
    try:
        server.require_up()
        assert server.port == port
        assert ask(server, "health") is True
    finally:
        server.stop()


def test_it_dies_with_the_process_that_started_it(home: Path, repository: Path):
    code = (
        "import sys, time; from pathlib import Path; from flows.prefect_server import start_server\n"
        f"server = start_server(Path({str(home)!r})); server.require_up(); print(server._process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=repository) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(server), "the end of the server", 60)


def test_settings_of_the_users_own_prefect_are_left_aside(tmp_path: Path, repository: Path):
    code = (
        "import os; from pathlib import Path; from flows.prefect_server import use_server\n"
        f"use_server(Path({str(tmp_path)!r}), 'http://127.0.0.1:1/api')\n"
        "from prefect.settings import get_current_settings\n"
        "settings = get_current_settings()\n"
        "print(settings.api.url, settings.home, settings.api.key)"
    )
    env = {**os.environ, "PREFECT_API_URL": "https://elsewhere.example/api", "PREFECT_API_KEY": "pnu_1"}
    child = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, cwd=repository
    )
    assert child.stdout.split() == ["http://127.0.0.1:1/api", str(tmp_path), "None"]


def test_settings_come_before_the_import(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "prefect", object())
    with pytest.raises(StageError, match="Prefect was imported before its settings were made"):
        use_server(tmp_path, "http://127.0.0.1:1/api")


def test_the_way_to_the_ui_is_one_command(tmp_path: Path):
    command = ui_command(tmp_path)
    assert command.startswith(f"env PREFECT_HOME={tmp_path} ")
    assert command.endswith("/prefect server start")
