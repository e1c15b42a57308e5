"""What a cluster is started with, and what is said where it cannot be."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flows.cli.main import run
from flows.flink import toolchain
from flows.flink.daemons import ClusterPlan, free_ports
from pipelines.engine.flink.description import description_file, read_cluster
from schemas.configs.flink import FlinkConfig
from schemas.errors import InputError, StageError


def plan(folder: Path, **settings: object) -> ClusterPlan:
    ports = {"rest": 1, "rpc": 2, "blob": 3, "job": 4, "artifact": 5, "pool": 6}
    return ClusterPlan(FlinkConfig.model_validate(settings), folder, ports, "/java", Path("/jars"))


def test_slots_come_from_the_machine_or_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.flink.daemons.default_workers", lambda: 8)
    assert plan(tmp_path).slots == 8
    assert plan(tmp_path, task_managers=3).slots == 6
    assert plan(tmp_path, task_managers=3, slots=5).slots == 15
    monkeypatch.setattr("flows.flink.daemons.default_workers", lambda: 1)
    assert plan(tmp_path).slots == 2


def test_memory_of_a_task_manager_grows_with_its_slots(tmp_path: Path) -> None:
    settings = plan(tmp_path, task_managers=1, slots=4, heap_mb=200, managed_mb=100).flink_settings()
    assert settings["taskmanager.numberOfTaskSlots"] == 4
    assert settings["taskmanager.memory.task.heap.size"] == "800m"
    assert settings["taskmanager.memory.managed.size"] == "400m"
    assert settings["parallelism.default"] == 4
    assert settings["restart-strategy.type"] == "fixed-delay"
    assert plan(tmp_path, restart_attempts=0).flink_settings()["restart-strategy.type"] == "none"


def test_the_worker_script_holds_the_budget(tmp_path: Path) -> None:
    made = plan(tmp_path, worker_mb=900)
    made.write_files()
    assert "CORPUSMILL_WORKER_MB=900 exec " in made.worker_script.read_text()
    assert made.worker_script.stat().st_mode & 0o111
    assert "rest.port: 1\n" in (tmp_path / "conf" / "config.yaml").read_text()


def test_modes_and_environments(tmp_path: Path) -> None:
    standalone = plan(tmp_path, task_managers=2, slots=1)
    names = [daemon.name for daemon in standalone.daemons()]
    assert names == ["jobmanager", "taskmanager-1", "taskmanager-2", "workerpool", "jobserver"]
    assert standalone.describe(None, None).environment_config == "localhost:6"
    process = plan(tmp_path, environment="process")
    assert "workerpool" not in [daemon.name for daemon in process.daemons()]
    assert process.describe(None, None).environment_type == "PROCESS"
    embedded = plan(tmp_path, mode="embedded", slots=1)
    assert [daemon.name for daemon in embedded.daemons()] == ["workerpool", "jobserver"]
    assert embedded.describe(None, None).rest is None
    assert "--flink-master=[local]" in embedded.job_server().argv


def test_ports_are_free_and_not_those_of_outgoing_connections() -> None:
    ports = free_ports()
    assert len(set(ports.values())) == len(ports) == 6
    for port in ports.values():
        assert 20_000 <= port < 32_000
        socket.create_server(("localhost", port)).close()


def test_no_java_and_an_old_java_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(InputError, match=r"Flink needs Java 17, and no `java` is on the PATH; install it \(Debian: "):
        toolchain.find_java()
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_1\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(InputError, match=r"Flink needs Java 11 or later, and .*/java is another: 'openjdk version"):
        toolchain.find_java()


def test_no_maven_and_a_failing_maven_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"the first `corpusmill flink up` gets Flink's jars with Maven, and no `mvn`"):
        toolchain.jars()
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Could not find artifact x'\nexit 1\n")
    maven.chmod(0o755)
    told: list[str] = []
    with pytest.raises(StageError, match=r"Maven could not get Flink's jars: \[ERROR\] Could not find artifact x"):
        toolchain.jars(told.append)
    assert told == ["getting Flink's jars, 160 MB, this first time only"]


def test_without_a_cluster_a_run_ends_at_once_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORPUSMILL_FLINK", str(tmp_path))
    for words in (["run", "dedup", "--root", str(tmp_path)], ["replay", "--root", str(tmp_path)]):
        assert run([*words, "--runner", "flink"]) == 2
        assert capsys.readouterr().err == (
            f"corpusmill: no Flink cluster is up ({tmp_path}/cluster.json is missing); start one with `corpusmill "
            "flink up`, or set CORPUSMILL_FLINK to the folder that describes yours\n"
        )
    assert run(["flink", "status"]) == 0
    assert "down" in capsys.readouterr().out
    assert run(["flink", "down", "--json"]) == 0
    assert '"stopped": false' in capsys.readouterr().out
    assert run(["flink", "up", "--set", "slots=0"]) == 2
    assert "flink.slots: Input should be greater than or equal to 1" in capsys.readouterr().err


def test_a_cluster_that_somebody_else_keeps_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = plan(tmp_path).describe(None, None)
    description_file(tmp_path).write_text(about.model_dump_json())
    assert run(["flink", "down", "--folder", str(tmp_path)]) == 2
    assert "describes a cluster that we do not keep; stop it where it runs" in capsys.readouterr().err
    assert run(["flink", "up", "--folder", str(tmp_path)]) == 2
    assert "describes a cluster that we do not keep; give another --folder" in capsys.readouterr().err
    assert read_cluster(tmp_path) == about
    description_file(tmp_path).write_text("{")
    assert run(["flink", "status", "--folder", str(tmp_path)]) == 2
    assert "cluster.json: the file: Invalid JSON" in capsys.readouterr().err
