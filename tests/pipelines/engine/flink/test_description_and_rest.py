"""Finding a cluster, reading what its API says, and what happens where nothing answers."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines.dedup.stage import run
from pipelines.engine import job_record
from pipelines.engine.flink import rest as rest_module
from pipelines.engine.flink.description import ClusterDescription, cluster_folder, description_file, read_cluster
from pipelines.engine.flink.rest import FlinkRest, FlinkUnreachableError
from pipelines.engine.flink.submit import _Follower, flink_options
from pipelines.engine.job_record import RECORD_NAME, cancel_left_over, write_record
from pipelines.engine.job_watch import cancel_by_name
from pipelines.engine.remote_job import JobRecord
from pipelines.engine.settings import Engine
from pipelines.engine.stage import StageRequest
from schemas.configs.dedup import DedupConfig
from schemas.errors import InputError, StageError
from schemas.storage import Folder

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
ABOUT = ClusterDescription(
    job_endpoint="localhost:1",
    rest=NOWHERE,
    slots=4,
    slots_of_task_manager=2,
    environment_type="EXTERNAL",
    environment_config="localhost:2",
)


def test_the_folder_is_the_given_one_or_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CORPUSMILL_FLINK", raising=False)
    assert cluster_folder() == Path.home() / ".corpusmill" / "flink"
    monkeypatch.setenv("CORPUSMILL_FLINK", str(tmp_path))
    assert cluster_folder() == tmp_path
    assert cluster_folder("/elsewhere") == Path("/elsewhere")


def test_a_cluster_is_described_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no Flink cluster is up \(.*cluster.json is missing\); start one with `corpus"
    ):
        read_cluster(tmp_path)
    description_file(tmp_path).write_text(ABOUT.model_dump_json())
    assert read_cluster(tmp_path) == ABOUT
    description_file(tmp_path).write_text(json.dumps({**ABOUT.model_dump(), "slots": 0}))
    with pytest.raises(InputError, match=r"cluster.json: slots: Input should be greater than or equal to 1; run"):
        read_cluster(tmp_path)


def test_a_job_gets_a_slot_for_each_worker_and_a_process_for_each_slot() -> None:
    options = flink_options(ABOUT, 3, "corpusmill-clean-x").get_all_options()
    assert options["job_name"] == "corpusmill-clean-x"
    assert options["sdk_worker_parallelism"] == "2"
    assert options["environment_type"] == "EXTERNAL"
    assert options["environment_config"] == "localhost:2"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        (
            "CHAIN MapPartition (MapPartition at [3]Clean/{Read, Compute, Together}) -> FlatMap (FlatMap at X[0])",
            "Clean/{Read, Compute, Together}",
        ),
        (
            "MapPartition (MapPartition at [2]Clean/List/{FlatMap(<lambda at core.py:4094>), Map(decode)})",
            "Clean/List",
        ),
        ("CHAIN MapPartition (MapPartition at [1]Clean/List/Map(decode)) -> FlatMap (FlatMap at X[0])", "Clean/List"),
        ("GroupReduce (GroupReduce at Clean/GroupAndWriteParts/Group)", "Clean/GroupAndWriteParts/Group"),
        ("DataSource (Impulse)", ""),
        ("Partition", ""),
        ("DataSink (DiscardingOutput)", ""),
    ],
)
def test_the_names_of_our_steps_are_found_in_those_of_flinks_tasks(name: str, steps: str) -> None:
    assert rest_module._steps_of(name) == steps


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FlinkUnreachableError, match=r"Flink's JobManager at http://127.0.0.1:9 does not answer"):
        FlinkRest(NOWHERE).slots()
    started = time.monotonic()
    record = JobRecord(engine="flink", job="corpusmill-clean-x", where={"rest": NOWHERE})
    assert not cancel_by_name(record, seconds=1)
    assert time.monotonic() - started < 60
    monkeypatch.setattr(job_record, "_PATIENCE_SECONDS", 0.6)
    folder = Folder(str(tmp_path))
    write_record(folder.child("0123"), record)
    cancel_left_over(folder)  # a dead cluster does not keep a unit from being done
    assert len(list(tmp_path.rglob(RECORD_NAME))) == 1


@pytest.fixture
def manager() -> Iterator[tuple[str, dict[str, Any]]]:
    """Where a JobManager answers, and its answers by path; of other paths it knows nothing."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path, {"errors": ["unknown"]})).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", answers
        server.shutdown()


def test_a_manager_that_was_started_again_has_lost_the_job(manager: tuple[str, dict[str, Any]]) -> None:
    url, answers = manager
    job = {"jid": "j1", "name": "corpusmill-clean-x", "state": "RUNNING", "start-time": 1, "vertices": []}
    follower = _Follower(FlinkRest(url), job["name"], lambda text: None)
    answers["/jobs/overview"] = {"jobs": []}
    follower.look()
    assert follower.seen is None
    answers |= {"/jobs/overview": {"jobs": [job]}, "/jobs/j1": job}
    follower.look()
    assert follower.seen is not None
    assert not follower.ended()
    del answers["/jobs/j1"]
    with pytest.raises(StageError, match=r"was started again and has lost job corpusmill-clean-x; run the same comm"):
        follower.look()
    with pytest.raises(FlinkUnreachableError, match="does not answer"):
        FlinkRest(url).slots()


def test_a_job_in_which_nothing_moves_is_named(
    manager: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, answers = manager
    metrics = {"read-records": 3, "write-records": 0}
    name = "MapPartition (MapPartition at [1]Clean/Compute)"
    vertex = {"name": name, "status": "RUNNING", "parallelism": 1, "duration": 1, "metrics": metrics}
    job = {"jid": "j1", "name": "clean", "state": "RUNNING", "start-time": 1, "vertices": [vertex]}
    answers |= {"/jobs/overview": {"jobs": [job]}, "/jobs/j1": job}
    clock = [1000.0]
    monkeypatch.setattr("pipelines.engine.flink.submit.time.monotonic", lambda: clock[0])
    told: list[str] = []
    follower = _Follower(FlinkRest(url), job["name"], told.append)
    for _ in range(4):
        follower.look()
        clock[0] += 200
    about = "Flink: 0/1 steps done, 3 elements, in Clean/Compute"
    assert told == [about, f"{about}; nothing has moved for 5 minutes, {url} shows what it waits for"]
    metrics["read-records"] = 4
    follower.look()
    assert told[2:] == ["Flink: 0/1 steps done, 4 elements, in Clean/Compute"]


def test_a_look_reads_no_certificates(manager: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    url, answers = manager
    answers["/overview"] = {"taskmanagers": 1, "slots-total": 2}
    rest = FlinkRest(url)
    monkeypatch.setattr(ssl, "create_default_context", None)
    monkeypatch.setattr(ssl, "SSLContext", None)
    assert [rest.slots() for _ in range(2)] == [(1, 2), (1, 2)]


@pytest.mark.parametrize("module", ["flink.worker_boot", "flink.worker_pool", "job_watch"])
def test_what_a_cluster_runs_can_be_imported_alone(module: str) -> None:
    command = [sys.executable, "-c", f"import pipelines.engine.{module}"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=240).returncode == 0


def test_a_job_server_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus_writer: Any
) -> None:
    description_file(tmp_path).write_text(ABOUT.model_dump_json())
    monkeypatch.setenv("CORPUSMILL_FLINK", str(tmp_path))
    corpus_writer.documents("p", ["a text of more than five words for one"])
    request = StageRequest(root=corpus_writer.root, config=DedupConfig(), engine=Engine(runner="flink"))
    with pytest.raises(InputError, match=r"Beam's job server at localhost:1 does not answer; `corpusmill flink "):
        run(request)
