"""One cluster for all tests of this folder, and what the chain gives without one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flink_chain import Cluster, chain, has_java, write_pages
from processes import wait_until


@pytest.fixture(scope="session")
def flink_is_possible() -> None:
    """Skips without Java or Maven; in CI that is a failure."""
    reason = has_java()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI=true")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def pages(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input of the chain."""
    return write_pages(shared_data, tmp_path_factory.mktemp("pages"), every=6)


@pytest.fixture(scope="session")
def cluster(flink_is_possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone cluster with two task managers of one slot each."""
    made = Cluster(tmp_path_factory.mktemp("flink"))
    made.up()
    yield made
    made.down()
    wait_until(lambda: not made.processes(), "the end of all processes")


@pytest.fixture(scope="session")
def local_corpus(cluster: Cluster, pages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The chain on the local runner, and its digest."""
    root = tmp_path_factory.mktemp("local") / "corpus"
    return root, chain(cluster, root, pages, "local")
