"""One server for all tests of this folder, from an installed wheel, with a webhook that hears of its runs."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from prefect_api import PrefectApi
from prefect_services import PLANTED, Services, receiver
from processes import alive, wait_until

from flows.services.home import auth_string


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
    settings = (
        "port=0",
        "heartbeat_seconds=30",
        "lost_after_seconds=60",
        "gpu_slots=1",
        "data_runs=4",
        "grace_seconds=5",
    )
    made = Services(place / "home", settings, env, place / "work")
    made.up()
    made.deploy_probes()
    yield made
    # It ends while a flow runs, and has to take that along.
    held = place / "held"
    made.run("probe-hold", path=str(held))
    pid = int(wait_until(lambda: held.exists() and held.read_text(), "the run"))
    made.down()
    assert not alive(pid)
    assert not made.processes()
    assert made.status() == {"state": "down", "home": str(made.home)}
    assert made.call("down").out == f"no Prefect server was up in {made.home}\n"


@pytest.fixture(scope="session")
def api(services: Services) -> PrefectApi:
    """The same server, asked by its API."""
    return PrefectApi(services.status()["ui"], auth_string(services.home))


# A corpus of a few pages has few words to learn from, and few windows.
_SMALL = """
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
    place.write_text(_SMALL)
    return place
