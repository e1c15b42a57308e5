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


@pytest.mark.parametrize(
    ("level", "number", "states"),
    [
        ("cancelled", None, ("CANCELLED",)),
        ("command", signal.SIGKILL, ("COMPLETED",)),
        ("flow", signal.SIGKILL, ("CRASHED",)),
        ("worker", signal.SIGKILL, ("CRASHED",)),
    ],
)
def test_what_no_signal_reaches_goes_with_its_run(
    level: str, number: signal.Signals | None, states: tuple[str, ...], services: Services, tmp_path: Path
) -> None:
    run = start_tree(services, tmp_path / "tree")
    end_level(services, run, level, number)
    wait_for_nothing(run, level, CANCEL_SECONDS if number is None else 0)
    services.wait_for(run.id, *states)


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
    services: Services, corpus: tuple[Path, Path], shared_data: Path, tmp_path: Path
) -> None:
    run = start_corpus(services, tmp_path / "corpus", shared_data / "warc", corpus[1])
    assert len(run.processes) >= 5
    end_level(services, run, "worker", signal.SIGKILL)
    wait_for_nothing(run, "worker", 0)
    services.wait_for(run.id, "CRASHED")
