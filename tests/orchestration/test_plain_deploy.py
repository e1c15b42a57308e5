"""`prefect.yaml` alone, on a server that knows nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.prefect_server import EmbeddedServer, own_settings, without_prefect
from flows.services.events import ZOMBIES
from flows.services.rest import PrefectRest

pytestmark = pytest.mark.slow


def _deploy_ours(env: dict[str, str], rest: PrefectRest) -> None:
    """`corpusmill deploy` brings the same server to what `corpusmill up` would make of it, for a folder elsewhere."""
    command = [sys.executable, "-m", "flows.cli", "deploy", "--set", "folder=/data", "--set", "gpu_slots=3", "--json"]
    ours = {**env, "CORPUSMILL_GPU_LIMIT": "gpu:rack"}
    done = subprocess.run(command, env=ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"api": env["PREFECT_API_URL"], "folder": "/data", "limit": "gpu:rack"}
    for one in rest.all_of("/deployments/filter"):
        assert one["pull_steps"] == [{"prefect.deployments.steps.set_working_directory": {"directory": "/data"}}]
    queues = {one["name"]: one["concurrency_limit"] for one in rest.all_of("/work_pools/local/queues/filter")}
    assert queues == {"default": None, "data": 2, "gpu": 3, "evaluate": 2}
    assert rest.get("/v2/concurrency_limits/gpu:rack")["limit"] == 3
    assert {one["name"] for one in rest.all_of("/automations/filter")} == set(ZOMBIES)


def test_plain_prefect_deploys_all_on_a_clean_server(repository: Path, tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "home")
    try:
        server.require_up()
        env = {**without_prefect(), **own_settings(server.home), "PREFECT_API_URL": server.url, "PWD": str(repository)}
        prefect = (sys.executable, "-m", "prefect")
        for words in (("work-pool", "create", "local", "--type", "process"), ("--no-prompt", "deploy", "--all")):
            done = subprocess.run(
                [*prefect, *words], cwd=repository, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        rest = PrefectRest(server.url)
        found = {one["entrypoint"]: one for one in rest.all_of("/deployments/filter")}
        assert {name.rsplit(".", 1)[1] for name in found} >= {
            "corpus_build",
            "pretrain",
            "evaluate",
            "finetune",
            "pipeline",
        }
        for one in found.values():
            (step,) = one["pull_steps"]
            assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(repository)
            assert one["work_queue_name"] in {"data", "gpu", "evaluate"}
            assert one["enforce_parameter_schema"] is True
        assert os.environ.get("PREFECT_API_URL") != server.url
        _deploy_ours(env, rest)
    finally:
        server.stop()
