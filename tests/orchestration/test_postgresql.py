"""The same on PostgreSQL, where several workers may be up."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kill_matrix import end_level, start_tree, wait_for_nothing
from postgresql import PASSWORD, postgresql, programs
from prefect_services import Services
from processes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database, with a password; a skip without PostgreSQL, a failure in CI."""
    if programs() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL, and CI=true")
        pytest.skip("no PostgreSQL")
    with postgresql(tmp_path_factory.mktemp("postgres") / "database") as url:
        yield url


def test_two_workers_on_postgresql_whose_keeper_is_killed_at_last(database: str, tmp_path: Path) -> None:
    services = Services(
        tmp_path / "home",
        ("port=0", "auth=false", "workers=2", "grace_seconds=5"),
        {"CORPUSMILL_DATABASE_URL": database},
        tmp_path,
    )
    services.up()
    try:
        status = services.status()
        assert status["database"] == "PostgreSQL"
        assert len(status["workers"]) == 2
        assert httpx.post(f"{status['api']}/flows/filter", json={}).status_code == 403  # of a page elsewhere
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
        run = start_tree(services, tmp_path / "tree")
        end_level(services, run, "flow", signal.SIGKILL)
        wait_for_nothing(run, "flow", 0)
        services.wait_for(run.id, "CRASHED")
        held = services.run("probe-hold", path=str(tmp_path / "pid"))
        wait_until((tmp_path / "pid").exists, "a run")
        assert services.state(held)["type"] == "RUNNING"
        os.kill(status["processes"]["keeper"], signal.SIGKILL)
        wait_until(lambda: not services.processes(), "the end of all processes", 20)
        assert services.status()["state"] == "down"
    finally:
        services.down()
