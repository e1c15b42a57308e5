"""`corpusmill doctor` on a clean machine, and on one with planted faults."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect_services import Services

from flows.services.events import ZOMBIES
from pipelines.engine.flink.description import ClusterDescription, description_file
from schemas.corpus_root import CorpusRoot

pytestmark = pytest.mark.slow
CLEAN = {"PREFECT_API_KEY": "", "PYTHONDONTWRITEBYTECODE": ""}


def examine(
    services: Services, root: Path, env: dict[str, str], preexec: Callable[[], None] | None = None
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, findings by name, and what people would read."""
    command = [sys.executable, "-m", "flows.cli", "doctor", "--root", str(root)]
    known: dict[str, Any] = {"cwd": services.folder, "env": {**services.environment(), **CLEAN, **env}}
    told, plain = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=False, preexec_fn=preexec, **known)
        for more in (["--json"], [])
    )
    assert told.returncode == plain.returncode, told.stderr + plain.stderr
    checks = json.loads(told.stdout.splitlines()[-1])["checks"]
    assert [one["name"] for one in checks if one["result"] == "fail"] == json.loads(told.stdout)["failed"]
    return told.returncode, {one["name"]: one for one in checks}, plain.stdout


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus with nothing in it."""
    root = tmp_path / "corpus"
    root.mkdir()
    return root


def test_a_clean_machine(services: Services, corpus: Path, tmp_path: Path) -> None:
    code, found, text = examine(services, corpus, {"CORPUSMILL_FLINK": str(tmp_path / "flink")})
    assert code == 0, text
    assert len(found) >= 25
    assert not [one for one in found.values() if one["result"] == "fail"]
    # What the machine has little of is not ours to say; all else is well.
    machine = {"disk-home", "disk-temporary", "disk-corpus", "shared-memory", "java", "open-files", "processes"}
    assert not [one for name, one in found.items() if one["result"] == "warn" and name not in machine]
    assert "FnApiRunner" in found["engine"]["seen"]
    assert text.splitlines()[-1].startswith(f"{len(found)} checks: 0 failed")


@contextmanager
def zombies_switched_off(services: Services) -> Iterator[None]:
    (known,) = [one for one in services.rest().all_of("/automations/filter") if one["name"] == ZOMBIES[0]]
    code = "import sys; from prefect.client.orchestration import get_client\nwith get_client(sync_client=True) as c: "
    services.python("-c", f"{code}c.pause_automation(sys.argv[1])", known["id"])
    yield
    services.python("-c", f"{code}c.resume_automation(sys.argv[1])", known["id"])


@contextmanager
def a_served_flow(services: Services) -> Iterator[None]:
    rest = services.rest()
    flow = rest.post("/flows/", {"name": "probe-served"})
    made = rest.post("/deployments/", {"name": "served", "flow_id": flow["id"], "entrypoint": "x.py:f"})
    yield
    code = "import sys; from prefect.client.orchestration import get_client\nwith get_client(sync_client=True) as c: "
    services.python("-c", f"{code}c.delete_deployment(sys.argv[1])", made["id"])


def test_planted_faults_are_found_each_with_its_remedy(services: Services, corpus: Path, tmp_path: Path) -> None:
    root = CorpusRoot(str(corpus))
    gone = {"host": socket.gethostname(), "pid": 2**22 - 1, "start": "1", "taken_at": 0.0}
    root.lease_folder().make()
    root.lease_folder().put_whole(
        "clean-x.json", json.dumps({**gone, "stage": "clean", "source": "web", "partition": "one"}).encode()
    )
    (corpus / ".work" / "clean" / "web" / "one").mkdir(parents=True)
    (corpus / ".work" / "clean" / "web" / "one" / "left.tmp").write_text("left")
    (corpus / ".work" / "clean" / "web" / "one" / "remote-job.json").write_text("{}")
    orphan = subprocess.run(
        ["/bin/sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"],
        env={**os.environ, "CORPUSMILL_TREE": "gone"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))

    with socket.create_server(("localhost", 0)) as job_server:
        cluster = tmp_path / "flink"
        cluster.mkdir()
        about = ClusterDescription(
            job_endpoint=f"localhost:{job_server.getsockname()[1]}",
            rest=None,
            slots=1,
            slots_of_task_manager=1,
            environment_type="LOOPBACK",
            environment_config="",
        )
        description_file(cluster).write_text(about.model_dump_json())
        faults = {
            "CORPUSMILL_FLINK": str(cluster),
            "PREFECT_API_URL": "https://prefect.example/api",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        try:
            with zombies_switched_off(services), a_served_flow(services):
                code, found, text = examine(services, corpus, faults, few_files)
        finally:
            os.kill(int(orphan), 9)
    assert code == 1
    expected = {
        "prefect-settings": ("fail", "PREFECT_API_URL", "unset them"),
        "zombie-runs": ("fail", "is switched off", "switched on in the UI"),
        "served-flows": ("fail", "probe-served/served", "deploy them to a work pool"),
        "open-files": ("fail", "512 open files", "ulimit -n"),
        "flink-workers": ("fail", "LOOPBACK", "EXTERNAL with a worker pool"),
        "orphans": ("fail", orphan, f"kill {orphan}"),
        "leases": ("warn", "1 of runs that are gone", "corpusmill gc"),
        "work-folders": ("warn", "2 temporary files", "corpusmill gc"),
        "remote-jobs": ("warn", "1 jobs", "run the same stage again"),
        "bytecode": ("warn", "PYTHONDONTWRITEBYTECODE", "unset it"),
    }
    for name, (result, seen, remedy) in expected.items():
        assert found[name]["result"] == result, found[name]
        assert seen in found[name]["seen"]
        assert remedy in found[name]["remedy"]
        assert found[name]["seen"] in text
        assert found[name]["remedy"] in text
    assert found["zombie-runs"]["issues"] == ["P#16746", "P#18653"]
    assert {name for name, one in found.items() if one["result"] == "fail"} == {
        name for name, (result, _, _) in expected.items() if result == "fail"
    }
