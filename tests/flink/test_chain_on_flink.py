"""The chain on a real cluster: the same rows as on the local runner, whatever is killed; and what users see of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import psutil
import pytest
from flink_chain import Cluster, chain, conserved, digest, kill_during, require, running, stage_command
from processes import PATIENCE_SECONDS, wait_until
from walk_shapes import in_batches, keepers_by_elimination, mixed_shapes

from pipelines.dedup.walk import EDGE_BYTES
from pipelines.dedup.walk_job import walk_graph
from pipelines.engine.flink.description import listens
from pipelines.engine.job_record import RECORD_NAME
from pipelines.engine.settings import Engine
from schemas.configs.flink import FlinkConfig
from schemas.storage import Folder

pytestmark = pytest.mark.slow


def test_the_chain_gives_the_same_rows_as_the_local_runner(
    cluster: Cluster, pages: Path, local_corpus: tuple[Path, str], tmp_path: Path
) -> None:
    local, expected = local_corpus
    assert chain(cluster, tmp_path, pages, "flink") == expected
    assert conserved(tmp_path) == conserved(local)
    assert cut_documents(tmp_path) == cut_documents(local) > 0
    assert cluster.status()["restarted"] == []
    rest = cluster.rest()
    job = next(one for one in rest.get("/jobs/overview")["jobs"] if one["name"].startswith("corpusmill-clean-"))
    vertices = rest.get(f"/jobs/{job['jid']}")["vertices"]
    (compute,) = [vertex for vertex in vertices if "Clean/{Read, Compute" in vertex["name"]]
    subtasks = rest.get(f"/jobs/{job['jid']}/vertices/{compute['id']}")["subtasks"]
    assert len({one["taskmanager-id"] for one in subtasks}) == 2
    assert all(one["metrics"]["read-records"] > 0 for one in subtasks)
    lines = [json.loads(line) for file in (tmp_path / "logs").iterdir() for line in file.read_text().splitlines()]
    logged = [line for line in lines if line["message"] == "flink job"]
    assert {line["stage"] for line in logged} == {"clean", "dedup", "decontaminate", "tokenize"}
    assert all(line["state"] == "FINISHED" and line["vertices"] for line in logged)
    assert not list(tmp_path.rglob(RECORD_NAME))


def cut_documents(root: Path) -> int:
    """Documents out of which a question was cut."""
    manifest = json.loads((root / "contaminated" / "pages" / "one" / "manifest.json").read_text())
    return int(manifest["counts"]["cut_documents"])


def test_a_killed_task_manager_and_a_killed_worker_change_nothing(
    cluster: Cluster, pages: Path, local_corpus: tuple[Path, str], tmp_path: Path
) -> None:
    ended = require(
        kill_during(cluster, tmp_path, pages, "clean", "clean", lambda: cluster.daemon("taskmanager-1"), "Compute")
    )
    assert "Flink: " in ended.err
    assert "steps done" in ended.err
    for stage in ("dedup", "decontaminate", "tokenizer"):
        require(cluster.call(*stage_command(stage, tmp_path, pages)))
    require(kill_during(cluster, tmp_path, pages, "tokenize", "tokenize", cluster.newest_worker))
    assert digest(cluster, tmp_path) == local_corpus[1]
    assert "taskmanager-1" in cluster.status()["restarted"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_a_stopped_run_takes_its_job_with_it(
    cluster: Cluster, pages: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with cluster.start(*stage_command("clean", tmp_path, pages)) as process:
        job = running(cluster, "clean", process)
        assert list(tmp_path.rglob(RECORD_NAME))
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert number != signal.SIGTERM or "interrupted; run the same command to go on" in err
    wait_until(lambda: cluster.rest().details(job.id).state == "CANCELED", "the job cancelled")
    wait_until(lambda: not cluster.workers(), "the end of its workers")


def test_nothing_listens_beyond_the_loopback(cluster: Cluster, pages: Path, tmp_path: Path) -> None:
    with cluster.start(*stage_command("clean", tmp_path, pages)) as process:
        running(cluster, "clean", process, "Clean/")  # a task manager serves its Python workers while a job runs
        addresses = {address for address, _ in cluster.listening()}
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert addresses
    assert all(ip_address(one.removeprefix("::ffff:")).is_loopback for one in addresses), addresses


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """A process that does nothing until it is told to go on, or until the body has ended."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_job_that_nobody_cancelled_is_cancelled_by_the_next_run_of_its_unit(
    cluster: Cluster, pages: Path, local_corpus: tuple[Path, str], tmp_path: Path
) -> None:
    with paused(cluster.daemon("workerpool")):  # without workers no job ends by itself
        with cluster.start(*stage_command("clean", tmp_path, pages)) as process:
            job = running(cluster, "clean", process)
            (watcher,) = cluster.named(job.name)  # those of other jobs may not have ended yet
            watcher.kill()
            process.kill()
            process.communicate(timeout=PATIENCE_SECONDS)
        # What Flink tells of a job may be some seconds old.
        wait_until(lambda: cluster.rest().details(job.id).state == "RUNNING", "a job that goes on without its run")
        again = cluster.start(*stage_command("clean", tmp_path, pages))
        wait_until(lambda: cluster.rest().details(job.id).state == "CANCELED", "the job cancelled by the next run")
    _, err = again.communicate(timeout=PATIENCE_SECONDS)
    assert again.returncode == 0, err
    assert conserved(tmp_path) == conserved(local_corpus[0])


def test_too_few_slots_are_named_before_anything_runs(cluster: Cluster, pages: Path, tmp_path: Path) -> None:
    ended = cluster.call(*stage_command("clean", tmp_path, pages, "--workers", "3"))
    assert ended.code == 2
    assert "--workers 3 wants 3 slots, and Flink has 2 on 2 task managers; give --workers 2" in ended.err
    assert "Traceback" not in ended.err


def memory_limits(cluster: Cluster) -> list[int]:
    """What each worker may allocate, in bytes; -1 is without bound."""
    limits = []
    for worker in cluster.workers():
        with suppress(psutil.NoSuchProcess):
            limits.append(worker.rlimit(psutil.RLIMIT_DATA)[0])
    return limits


def test_a_worker_is_bounded_in_memory(cluster: Cluster, pages: Path, tmp_path: Path) -> None:
    with cluster.start(*stage_command("clean", tmp_path, pages)) as process:
        running(cluster, "clean", process, "Compute")
        # A moment passes before a worker has bounded itself.
        limits = wait_until(lambda: (found := memory_limits(cluster)) and -1 not in found and found, "bounded workers")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert all(2**30 <= limit < psutil.virtual_memory().total for limit in limits)


def test_a_killed_job_server_and_a_killed_pool_change_nothing(
    cluster: Cluster, pages: Path, local_corpus: tuple[Path, str], tmp_path: Path
) -> None:
    with cluster.start(*stage_command("clean", tmp_path, pages)) as process:
        running(cluster, "clean", process)
        psutil.Process(cluster.daemon("jobserver")).kill()
        psutil.Process(cluster.daemon("workerpool")).kill()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, f"{out}\n{err}"
    assert "Traceback" not in err
    assert conserved(tmp_path) == conserved(local_corpus[0])
    wait_until(lambda: cluster.status()["state"] == "up" and listens_at(cluster), "a job server that takes jobs")


def listens_at(cluster: Cluster) -> bool:
    """Whether the job server takes jobs again."""
    return listens(json.loads((cluster.folder / "cluster.json").read_text())["job_endpoint"])


def test_an_interrupted_start_leaves_nothing(flink_is_possible: None, tmp_path: Path) -> None:
    other = Cluster(tmp_path)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with other.start("flink", "up") as process:
            wait_until((tmp_path / "processes.json").exists, "the first daemon")
            process.send_signal(number)
            process.communicate(timeout=PATIENCE_SECONDS)
        wait_until(lambda: not other.processes(), "the end of all processes")
        assert other.status()["state"] == "down"


def test_a_keeper_whose_starter_died_while_it_was_loading_ends(flink_is_possible: None, tmp_path: Path) -> None:
    other = Cluster(tmp_path)
    gone = subprocess.Popen(["true"])
    gone.wait()
    settings = FlinkConfig(task_managers=1, slots=1).model_dump_json()
    command = [sys.executable, "-m", "flows.flink.keeper", str(tmp_path), settings, str(gone.pid)]
    assert subprocess.run(command, env=other.environment(), timeout=PATIENCE_SECONDS, check=False).returncode == 0
    wait_until(lambda: not other.processes(), "the end of all processes")
    assert other.status()["state"] == "down"


def test_a_graph_over_the_budget_is_walked_as_it_is_here(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.environment().items():
        monkeypatch.setenv(name, value)
    count, edges = mixed_shapes()
    removed = walk_graph(
        np.ones(count, dtype=bool),
        lambda: in_batches(edges, 20_000),
        len(edges),
        4000 * EDGE_BYTES,
        Engine(runner="flink", workers=2),
        Folder(str(tmp_path)),
    )
    found = {node: min(edges[edge]) for node, edge in zip(*(one.tolist() for one in removed), strict=True)}
    assert found == keepers_by_elimination([True] * count, edges)
