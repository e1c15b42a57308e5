"""One server for all tests of this folder, from an installed wheel, with a webhook that hears of its runs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from prefect_services import PLANTED, Services, receiver
from processes import wait_until


@pytest.fixture(scope="session")
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook with a secret in its URL, and what it has got so far."""
    with receiver() as (url, got):
        yield f"{url}/hooks/{PLANTED}", got


@pytest.fixture(scope="session")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel of this checkout installs."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(repository)).build(directory=str(folder), versions=["standard"])
    place = folder / "site-packages"
    zipfile.ZipFile(wheel).extractall(place)
    return place


@pytest.fixture(scope="session")
def services(
    installed: Path, webhook: tuple[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """A server on SQLite that is up, called from a folder outside any checkout."""
    place = tmp_path_factory.mktemp("services")
    (place / "work").mkdir()
    env = {"PYTHONPATH": str(installed), "CORPUSMILL_WEBHOOK_URL": webhook[0], "PREFECT_API_KEY": "left-over"}
    settings = ("port=0", "heartbeat_seconds=30", "lost_after_seconds=60", "gpu_slots=1", "grace_seconds=5")
    made = Services(place / "home", settings, env, place / "work")
    made.up()
    made.deploy_probes()
    yield made
    made.down()
    wait_until(lambda: not made.processes(), "the end of all processes")
