"""`prefect.yaml`: every flow has a deployment whose entrypoint is there and whose parameters fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

NAMES = ["corpus-build", "evaluate", "finetune", "pipeline", "pretrain", "run-stage", "watch-snapshots"]
# In a process of its own: Prefect reads its home and sets up logging when it is imported.
LOAD = """
import json, sys
from prefect.flows import load_flow_from_entrypoint
flows = [load_flow_from_entrypoint(entrypoint) for entrypoint in sys.argv[1:]]
print(json.dumps([[flow.name, sorted(flow.parameters.properties)] for flow in flows]))
"""


@pytest.fixture(scope="module")
def deployments(repository: Path) -> list[dict]:
    return yaml.safe_load((repository / "prefect.yaml").read_text())["deployments"]


def test_every_flow_is_deployed_and_may_be_called(deployments: list[dict], repository: Path, tmp_path: Path):
    entrypoints = [one["entrypoint"] for one in deployments]
    child = subprocess.run(
        [sys.executable, "-c", LOAD, *entrypoints],
        cwd=repository,
        env={**os.environ, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(child.stdout)
    assert sorted(name for name, _ in loaded) == NAMES
    assert all(parameters == ["parameters"] for _, parameters in loaded)
    for deployment in deployments:
        assert set(deployment["parameters"]) <= {"parameters"}
        assert deployment["work_pool"]["name"] == "local"


def test_queues_say_what_runs_at_once(deployments: list[dict]):
    # A limit of a deployment stamps waiting runs anew, and loses their order.
    limited = [one["entrypoint"] for one in deployments if "concurrency_limit" in one]
    assert limited == ["flows.watch_snapshots.watch_snapshots"]  # where none ever waits
    queues = {one["entrypoint"].rsplit(".", 1)[1]: one["work_pool"]["work_queue_name"] for one in deployments}
    assert {queues["pretrain"], queues["finetune"]} == {"gpu"}
    assert {queues["corpus_build"], queues["pipeline"]} == {"data"}
    assert queues["evaluate"] == "evaluate"


def test_the_watch_is_paused_until_it_knows_a_corpus_and_never_runs_twice(deployments: list[dict]):
    (watch,) = [one for one in deployments if "watch" in one["entrypoint"]]
    assert watch["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    (weekly,) = watch["schedules"]
    assert weekly == {"slug": "weekly", "cron": "0 6 * * 1", "timezone": "UTC", "active": False}
