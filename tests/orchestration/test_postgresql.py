"""The same on PostgreSQL, where several workers may be up."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_services import Services
from processes import wait_until

pytestmark = pytest.mark.slow
PASSWORD = "p0stgr3s-pl4nted"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    there = shutil.which("initdb")
    return found[-1].parent if found else Path(there).parent if there else None


def _as_somebody(*words: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return list(words)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database, with a password; a skip without PostgreSQL, a failure in CI."""
    programs = _programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL, and CI=true")
        pytest.skip("no PostgreSQL")
    place = tmp_path_factory.mktemp("postgres")
    for folder in (place, *list(place.parents)[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    data, secret = place / "data", place / "secret"
    data.mkdir()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    if not os.getuid():
        shutil.chown(data, "nobody", "nogroup")
    initdb = _as_somebody(
        str(programs / "initdb"), "-D", str(data), "-U", "mill", "-A", "scram-sha-256", f"--pwfile={secret}"
    )
    subprocess.run(initdb, check=True, capture_output=True, cwd=data)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            _as_somebody(str(programs / "postgres"), "-D", str(data), *options), stdout=log, stderr=log, cwd=data
        )
    create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mill", "prefect"]
    env = {**os.environ, "PGPASSWORD": PASSWORD}
    try:
        wait_until(
            lambda: not subprocess.run(create, env=env, capture_output=True, check=False).returncode, "PostgreSQL"
        )
        yield f"postgresql://mill:{PASSWORD}@127.0.0.1:{port}/prefect"
    finally:
        server.terminate()
        server.wait()


def test_two_workers_on_postgresql(database: str, tmp_path: Path) -> None:
    services = Services(
        tmp_path / "home", ("port=0", "workers=2", "grace_seconds=5"), {"CORPUSMILL_DATABASE_URL": database}, tmp_path
    )
    services.up()
    try:
        status = services.status()
        assert status["database"] == "PostgreSQL"
        assert len(status["workers"]) == 2
        services.deploy_probes()
        runs = [services.run("probe-note", path=str(tmp_path / f"note-{number}"), text="x") for number in range(2)]
        for run in runs:
            services.wait_for(run, "COMPLETED")
        assert not (services.home / "prefect.db").exists()
        texts = list(services.texts())
        assert not [name for name, text in texts if PASSWORD in text]
        # Flows have no business with the database.
        worker = Path(f"/proc/{services.daemon('worker-1')}/environ").read_bytes()
        assert PASSWORD.encode() not in worker
    finally:
        services.down()
    wait_until(lambda: not services.processes(), "the end of all processes")
