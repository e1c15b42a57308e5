"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from schemas.corpus_root import CorpusRoot

REPOSITORY = Path(__file__).resolve().parents[1]

# Before any test is imported: how long an example takes says more about what else runs on the cores than about us.
settings.register_profile(
    "any-machine", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")


def pytest_configure() -> None:
    """Let Ctrl-C mean something: a shell starts background jobs with it ignored, and all children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Files whose tests share what takes long to make, the longest first, so that no process ends alone with them. Those of
# a Prefect server are in two groups of about the same length, each with a server of its own.
TOGETHER = {
    "flink": "flink/*",
    "servers": "orchestration/test_[dkp]*",
    "flows": "orchestration/*",
    "end_to_end": "end_to_end/*",
    "dataflow": "dataflow/*",
}


def group_of(path: Path) -> str | None:
    """The group of a test's file; None for one that shares nothing."""
    place = path.relative_to(REPOSITORY / "tests").as_posix()
    return next((name for name, pattern in TOGETHER.items() if fnmatch(place, pattern)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, so that what is wrong shows early, then the longest; the order is otherwise as it was."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        group = group_of(item.path)
        slow = item.get_closest_marker("slow") is not None
        return slow, list(TOGETHER).index(group) if group else len(TOGETHER)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests are spread over processes, one process gets all of a file, or of a group in `TOGETHER`."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return group_of(REPOSITORY / path) or path

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test data beside the checkout; a skip where it is missing, a failure in CI."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{folder} is missing, and CI=true")
        pytest.skip(f"no test data beside the checkout ({folder})")
    return folder


@pytest.fixture
def corpus_root(tmp_path: Path) -> CorpusRoot:
    """An empty corpus."""
    return CorpusRoot(str(tmp_path / "corpus"))
