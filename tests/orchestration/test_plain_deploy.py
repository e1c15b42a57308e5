"""`prefect.yaml` alone, on a server that knows nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.prefect_server import EmbeddedServer, own_settings, without_prefect
from flows.services.rest import PrefectRest

pytestmark = pytest.mark.slow


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
    finally:
        server.stop()
