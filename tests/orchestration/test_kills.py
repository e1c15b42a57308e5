"""Whatever of a run is ended, at whichever level, nothing of it is left; all levels are in `make prove kills`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from kill_matrix import end_level, make_corpus, start_corpus, start_training, start_tree, wait_for_nothing
from prefect_services import Services

pytestmark = pytest.mark.slow
# Prefect's worker leaves a cancelled run so long; a training or a stage is asked to end within less.
CANCEL_SECONDS = 30.0


@pytest.fixture(scope="module")
def lost(services: Services) -> list[str]:
    """Runs whose processes are gone; the first had none, as if its worker had died at the wrong moment."""
    rest = services.rest()
    ahead = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}  # no worker takes it
    deployment = rest.get("/deployments/name/probe-hold/local")["id"]
    made = rest.post(f"/deployments/{deployment}/create_flow_run", {"state": ahead, "parameters": {"path": "-"}})
    for kind in ("PENDING", "RUNNING"):
        rest.post(f"/flow_runs/{made['id']}/set_state", {"state": {"type": kind}, "force": True})
    return [made["id"]]


@pytest.mark.parametrize(
    ("level", "number", "state"),
    [
        ("cancelled", None, "CANCELLED"),
        ("command", signal.SIGKILL, "COMPLETED"),
        ("flow", signal.SIGKILL, "CRASHED"),
        ("worker", signal.SIGKILL, ""),
    ],
)
def test_what_no_signal_reaches_goes_with_its_run(
    level: str, number: signal.Signals | None, state: str, services: Services, lost: list[str], tmp_path: Path
) -> None:
    run = start_tree(services, tmp_path / "tree")
    end_level(services, run, level, number)
    wait_for_nothing(run, level, CANCEL_SECONDS if number is None else 0)
    if state:
        services.wait_for(run.id, state)
    else:  # nobody is left who could say so at once
        lost.append(run.id)


@pytest.fixture(scope="module")
def corpus(services: Services, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus with a mixture, and settings."""
    return make_corpus(services, shared_data, tmp_path_factory.mktemp("kills"))


def test_a_cancelled_training_saves_first(services: Services, corpus: tuple[Path, Path], tmp_path: Path) -> None:
    root, config = corpus
    run = start_training(services, root, tmp_path / "run", config)
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))
    end_level(services, run, "cancelled", None)
    wait_for_nothing(run, "cancelled", CANCEL_SECONDS)
    services.wait_for(run.id, "CANCELLED")
    assert list((tmp_path / "run" / "checkpoints").glob("*"))


def test_beam_workers_go_with_a_killed_worker(
    services: Services, corpus: tuple[Path, Path], lost: list[str], shared_data: Path, tmp_path: Path
) -> None:
    run = start_corpus(services, tmp_path / "corpus", shared_data / "warc", corpus[1])
    assert len(run.processes) >= 5
    end_level(services, run, "worker", signal.SIGKILL)
    wait_for_nothing(run, "worker", 0)
    lost.append(run.id)


def test_runs_that_nobody_is_left_to_tell_of_are_crashed(services: Services, lost: list[str]) -> None:
    assert len(lost) == 3
    for run in lost:
        assert "no sign of life for" in services.wait_for(run, "CRASHED")["message"]
