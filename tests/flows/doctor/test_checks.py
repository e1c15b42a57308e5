"""Single checks of the doctor, on what no test machine has."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from flows.doctor import machine, orchestration
from flows.doctor.finding import Finding, Patient
from flows.doctor.machine import MACHINE_CHECKS
from flows.doctor.orchestration import ORCHESTRATION_CHECKS
from flows.services.home import ServicesDescription, description_file
from flows.services.rest import PrefectRest
from schemas.lease import process_start


def named(name: str, home: Path, checks: tuple = MACHINE_CHECKS) -> Finding:
    """What the check of that name finds."""
    patient = Patient(home, home)
    (found,) = [finding for check in checks for finding in check(patient) if finding.name == name]
    return found


@pytest.mark.parametrize(
    ("versions", "result"),
    [
        ({"prefect": "3.8.8", "fastapi": "0.150.1", "certifi": "2025.1.1"}, "ok"),
        ({"prefect": "3.8.8", "fastapi": "0.151.0", "certifi": "2025.1.1"}, "fail"),
        ({"prefect": "3.7.0", "fastapi": "0.150.1", "certifi": "2025.1.1"}, "fail"),
        ({"prefect": "3.9.1", "fastapi": "0.150.1", "certifi": "2025.1.1"}, "warn"),
        ({"prefect": "3.9.1", "fastapi": "0.150.1", "certifi": "2026.10.19"}, "ok"),
        ({"fastapi": "0.150.1", "certifi": "2026.10.19"}, "fail"),
    ],
)
def test_packages(versions: dict[str, str], result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(machine, "version", version)
    assert named("packages", tmp_path).result == result


def test_a_full_disk_and_little_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 2**20, "total": 64 * 2**20})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _place: usage)
    monkeypatch.setattr(machine, "_SHM", tmp_path)
    assert named("disk-home", tmp_path).result == "fail"
    assert named("shared-memory", tmp_path).result == "warn"
    monkeypatch.setattr(machine, "_SHM", tmp_path / "none")
    assert "there is no" in named("shared-memory", tmp_path).seen


def test_a_gpu_that_torch_does_not_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpu_count", lambda: 0)
    assert named("gpu", tmp_path).result == "ok"
    monkeypatch.setattr(machine, "gpu_count", lambda: 1000)
    found = named("gpu", tmp_path)
    assert found.result == "fail"
    assert found.seen.startswith("1000 GPUs, of which torch sees ")


def test_without_a_server_one_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestration.os, "environ", {"PREFECT_LOGGING_LEVEL": "DEBUG"})
    assert named("server", tmp_path, ORCHESTRATION_CHECKS).result == "warn"
    assert named("prefect-settings", tmp_path, ORCHESTRATION_CHECKS).result == "warn"


class ToldRest:
    """A server of which only the answers are there."""

    answers: dict[str, object]

    def __init__(self, *_about: object) -> None:
        return

    def all_of(self, path: str, **conditions: object) -> object:
        return self.answers.get(f"{path} {conditions}", self.answers.get(path, []))

    def get(self, path: str) -> object:
        return self.answers[path]


def deployment(**about: object) -> dict[str, object]:
    known = {"flow_id": "f", "name": "local", "work_pool_name": "local", "concurrency_limit": None, "entrypoint": "x.y"}
    more = {
        "global_concurrency_limit": None,
        "schedules": [],
        "concurrency_options": None,
        "work_queue_name": "data",
        "description": "",
    }
    return {**known, **more, **about}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a server that answers what `ToldRest.answers` says."""
    import os

    pid = os.getpid()
    about = ServicesDescription(
        listens="http://127.0.0.1:9",
        url="http://127.0.0.1:9",
        folder=str(tmp_path),
        database="SQLite",
        workers=1,
        gpu_limit="gpu:here",
        gpu_slots=1,
        keeper_pid=pid,
        keeper_start=process_start(pid),
    )
    description_file(tmp_path).write_text(about.model_dump_json())
    monkeypatch.setattr(orchestration, "PrefectRest", ToldRest)
    worker = {"name": "one", "status": "ONLINE"}
    old = {"name": "stuck", "state": {"timestamp": "2026-01-01T00:00:00+00:00"}}
    pending = {"flow_runs": {"state": {"type": {"any_": ["PENDING"]}}}}
    late = {"flow_runs": {"state": {"name": {"any_": ["Late"]}}}}
    cron = {"schedule": {"cron": "0 0 * * 1", "timezone": None}}
    ToldRest.answers = {
        "/work_pools/local/workers/filter": [worker, {**worker, "name": "two"}],
        "/flows/filter": [{"id": "f", "name": "flow"}],
        "/deployments/filter": [
            deployment(concurrency_limit=1, schedules=[cron, {"schedule": {"interval": 60}}]),
            deployment(name="new", concurrency_limit=1, concurrency_options={"collision_strategy": "CANCEL_NEW"}),
        ],
        "/v2/concurrency_limits/gpu:here": {"limit": 2, "active_slots": 2},
        f"/flow_runs/filter {pending}": [old],
        f"/flow_runs/filter {late}": [old] * 101,
    }
    return tmp_path


@pytest.mark.parametrize(
    ("name", "result", "seen"),
    [
        ("workers", "fail", "SQLite, 2 workers online"),
        ("zombie-runs", "fail", "is missing"),
        ("served-flows", "ok", "all deployments are run by workers"),
        ("deployment-limits", "warn", "limits of deployments: flow/local"),
        ("deployments", "warn", "flows.pretrain.pretrain (local)"),
        ("schedules", "warn", "cron without a time zone: flow/local; intervals: flow/local"),
        ("slots", "fail", "2 of 2 slots of gpu:here taken, 0 runs running"),
        ("pending-runs", "warn", "pending for more than ten minutes: stuck"),
        ("late-runs", "warn", "101 runs wait for their turn"),
    ],
)
def test_what_is_wrong_in_a_server(name: str, result: str, seen: str, home: Path) -> None:
    found = named(name, home, ORCHESTRATION_CHECKS)
    assert found.result == result
    assert seen in found.seen
    assert bool(found.remedy) is (result != "ok")


def test_no_worker_and_no_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ToldRest.answers["/work_pools/local/workers/filter"] = []
    assert "0 workers online" in named("workers", home, ORCHESTRATION_CHECKS).seen
    monkeypatch.setattr(orchestration, "PrefectRest", PrefectRest)
    found = named("server", home, ORCHESTRATION_CHECKS)
    assert found.result == "fail"
    assert "http://127.0.0.1:9/api does not answer" in found.seen
