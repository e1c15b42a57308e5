"""A real PostgreSQL on the loopback, with a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import wait_until

__all__ = ["PASSWORD", "postgresql", "programs"]

PASSWORD = "p0stgr3s-pl4nted"


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    there = shutil.which("initdb")
    return found[-1].parent if found else Path(there).parent if there else None


def _as_somebody(*words: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return list(words)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *words]


@contextmanager
def postgresql(place: Path) -> Iterator[str]:
    """The URL of an empty database, whose files lie in a folder of this name."""
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    place.mkdir(exist_ok=True)
    for folder in (place, *list(place.parents)[:4]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    data, secret = place / "data", place / "secret"
    data.mkdir()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    if not os.getuid():
        shutil.chown(data, "nobody", "nogroup")
    initdb = _as_somebody(
        str(found / "initdb"), "-D", str(data), "-U", "mill", "-A", "scram-sha-256", f"--pwfile={secret}"
    )
    subprocess.run(initdb, check=True, capture_output=True, cwd=data)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off")
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            _as_somebody(str(found / "postgres"), "-D", str(data), *options), stdout=log, stderr=log, cwd=data
        )
    create = [str(found / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mill", "prefect"]
    env = {**os.environ, "PGPASSWORD": PASSWORD}
    try:
        wait_until(
            lambda: not subprocess.run(create, env=env, capture_output=True, check=False).returncode, "PostgreSQL"
        )
        yield f"postgresql://mill:{PASSWORD}@127.0.0.1:{port}/prefect"
    finally:
        server.terminate()
        server.wait()
