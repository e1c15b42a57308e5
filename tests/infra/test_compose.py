"""The compose file, without Docker: its schema, and whether what it starts fits together and is ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfiles import Stage
from real_commands import check_command, known_variables
from s3_server import s3_environment, s3_server

from flows.flink.daemons import ClusterPlan
from flows.prefect_server import listening_socket
from flows.services.daemons import ServicesPlan, client_environment
from flows.services.elsewhere import _OURS, _require_sense
from pipelines.engine.flink.description import read_cluster
from schemas.configs.base import load_config
from schemas.configs.flink import FlinkConfig
from schemas.configs.up import UpConfig

_BIN = Path(sys.executable).parent
_FOLDER = Path("infra/compose")
# What other people's images read, as they document it.
_THEIRS = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"},
    "s3": {"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MC_CONFIG_DIR"},
}
_FLINK = {"FLINK_PROPERTIES"}
_SECRET = re.compile(r"PASSWORD|SECRET|AUTH_STRING|CONNECTION_URL|TOKEN")


def is_ours(service: dict[str, Any]) -> bool:
    return service["image"].startswith("corpusmill-")


def flink_settings(service: dict[str, Any]) -> dict[str, Any]:
    return dict(yaml.safe_load(service["environment"]["FLINK_PROPERTIES"]))


def flag(service: dict[str, Any], name: str) -> str:
    """The value of a flag, `--name value` or `--name=value`."""
    words = service["command"]
    given = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    return given[0] if given else words[words.index(name) + 1]


def bytes_of(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([kmg])", text).groups()
    return int(number) * 1024 ** (" kmg".index(unit))


def limits(service: dict[str, Any]) -> dict[str, str]:
    return dict(service["deploy"]["resources"]["limits"])


def test_files_keep_the_schema_of_compose(repository: Path) -> None:
    files = sorted((repository / _FOLDER).glob("*.yaml"))
    command = [_BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(files) == 2


def test_commands_of_our_images_are_real(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: one for name, one in services.items() if is_ours(one) and "-flink" not in one["image"]}
    assert len(ours) >= 6
    for service in ours.values():
        check_command(service["command"])
    tests = [one["healthcheck"]["test"] for one in ours.values() if "healthcheck" in one]
    for kind, *words in tests:
        assert kind == "CMD"
        check_command(words)


def test_the_job_server_is_started_as_by_flink_up(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    plan = ClusterPlan(
        FlinkConfig(), tmp_path, {"rest": 1, "rpc": 2, "blob": 3, "job": 4, "artifact": 5, "pool": 6}, "java", tmp_path
    )
    known = {word.partition("=")[0] for word in plan.job_server().argv if word.startswith("--") and "opens" not in word}
    given = {word.partition("=")[0] for word in services["flink-jobserver"]["command"]}
    assert given == known - {"--flink-conf-dir"}  # its settings are the manager's


@pytest.mark.parametrize("name", ["jobmanager", "taskmanager"])
def test_flink_has_the_settings_of_flink_up(services: dict[str, dict[str, Any]], tmp_path: Path, name: str) -> None:
    service = services[f"flink-{name}"]
    assert service["command"] == [name]
    given = flink_settings(service)
    slots = flink_settings(services["flink-taskmanager"])["taskmanager.numberOfTaskSlots"]
    ports = dict.fromkeys(("rest", "rpc", "blob", "job", "artifact", "pool"), 0)
    plan = ClusterPlan(FlinkConfig(task_managers=1, slots=slots), tmp_path, ports, "java", tmp_path)
    wanted = plan.flink_settings()
    places = {"jobmanager.rpc.address", "rest.port", "rest.bind-address", "jobmanager.memory.process.size"}
    assert {key: value for key, value in given.items() if key not in places} == {
        key: wanted[key] for key in given if key not in places
    }
    owed = {
        key for key in wanted if key.startswith(("restart-", "slot.") if name == "jobmanager" else "taskmanager.memory")
    }
    assert owed <= set(given)


def test_flink_and_its_workers_keep_their_memory(services: dict[str, dict[str, Any]]) -> None:
    given = flink_settings(services["flink-taskmanager"])
    sizes = [bytes_of(value) for key, value in given.items() if ".memory." in key and not key.endswith(".min")]
    assert len(sizes) == 8
    assert sum(sizes) <= bytes_of(limits(services["flink-taskmanager"])["memory"])
    slots, pool = given["taskmanager.numberOfTaskSlots"], services["flink-workers"]
    budget = slots * int(pool["environment"]["CORPUSMILL_WORKER_MB"]) * 2**20
    assert budget + 2**29 <= bytes_of(limits(pool)["memory"])  # the pool itself has Beam loaded
    assert float(limits(pool)["cpus"]) == slots


def test_the_cluster_is_described_as_it_is(repository: Path, services: dict[str, dict[str, Any]]) -> None:
    about = read_cluster(repository / _FOLDER / "flink")
    slots = flink_settings(services["flink-taskmanager"])["taskmanager.numberOfTaskSlots"]
    assert (about.slots, about.slots_of_task_manager, about.environment_type) == (slots, slots, "EXTERNAL")
    assert about.environment_config == f"localhost:{services['flink-workers']['command'][3]}"
    assert services["flink-workers"]["network_mode"] == "service:flink-taskmanager"
    assert about.job_endpoint == f"{flag(services['flink-jobserver'], '--job-host')}:8099"
    mount = "./flink:/etc/corpusmill/flink:ro"
    worker = services["prefect-worker"]
    assert mount in worker["volumes"]
    assert worker["environment"]["CORPUSMILL_FLINK"] == "/etc/corpusmill/flink"


def test_whoever_is_called_listens_there(repository: Path, services: dict[str, dict[str, Any]]) -> None:
    listens = {
        "postgres": {"5432"},
        "s3": {flag(services["s3"], "--address").lstrip(":")},
        "prefect-server": {flag(services["prefect-server"], "--port")},
        "flink-jobmanager": {str(flink_settings(services["flink-jobmanager"])["rest.port"])},
        "flink-jobserver": {flag(services["flink-jobserver"], f"--{one}-port") for one in ("job", "artifact")},
        "tensorboard": {flag(services["tensorboard"], "--port")},
    }
    networks = {name: set(one.get("networks", ["default"])) for name, one in services.items()}
    seen = json.dumps(read_cluster(repository / _FOLDER / "flink").model_dump())
    called = 0
    for name, service in services.items():
        text = json.dumps({key: value for key, value in service.items() if key != "image"})
        text += seen if name == "prefect-worker" else ""
        for host, port in re.findall(rf"\b({'|'.join(listens)}):(\d+)\b(?!\.\d)", text):
            called += 1
            assert port in listens[host], f"{name} calls {host}:{port}"
            where = name if "network_mode" not in service else service["network_mode"].partition(":")[2]
            assert networks[where] & networks[host], f"{name} does not reach {host}"
    assert called >= 10
    for name, service in services.items():
        for published in service.get("ports", []):
            address, _, inner = published.split(":")
            assert address == "127.0.0.1", f"{name} is open to others"
            assert inner in listens[name]
        if is_ours(service) and "--host" in service["command"]:
            assert flag(service, "--host") == "0.0.0.0"


def test_every_variable_is_read_by_somebody(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        given = set(service.get("environment", {}))
        known = _THEIRS.get(name, _FLINK if "-flink:" in service["image"] else known_variables())
        assert given <= known, f"{name}: {given - known}"


def test_prefect_has_the_settings_of_up(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("corpusmill:x")
    with listening_socket("127.0.0.1", 0) as listener:
        plan = ServicesPlan(UpConfig(database="postgresql://a@b/c", folder="/data"), tmp_path, listener)
        server = {key: value for key, value in plan.server().env.items() if key not in os.environ}
        client = client_environment(tmp_path, plan.describe(), plan.config)
        client = {key: value for key, value in client.items() if key not in os.environ}
    elsewhere = {"PREFECT_HOME", "PREFECT_PROFILES_PATH", "CORPUSMILL_PREFECT"}
    for wanted, name in ((server, "prefect-server"), (client, "prefect-worker"), (client, "prefect-setup")):
        given = services[name]["environment"]
        assert set(wanted) - elsewhere <= set(given)
        for key in set(wanted) & set(given):
            if not re.search(r"URL|AUTH|ORIGINS|DIRECTORY|LIMIT", key):
                assert given[key] == wanted[key], key
    worker = services["prefect-worker"]
    assert int(flag(worker, "--limit")) == UpConfig().runs
    assert float(worker["stop_grace_period"].removesuffix("s")) >= UpConfig().grace_seconds
    limit = {services[name]["environment"]["CORPUSMILL_GPU_LIMIT"] for name in ("prefect-worker", "prefect-setup")}
    assert len(limit) == 1


def test_the_settings_of_deploy_are_right(repository: Path, services: dict[str, dict[str, Any]]) -> None:
    given = load_config(UpConfig, str(repository / _FOLDER / "up.toml"))
    _require_sense(given)
    assert not set(_OURS) & given.model_fields_set
    places = {volume.split(":")[1] for volume in services["prefect-worker"]["volumes"]}
    assert given.folder in places
    assert flag(services["tensorboard"], "--runs") in places


def test_volumes_are_declared_and_files_are_there(repository: Path, compose: dict[str, Any]) -> None:
    used = set()
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (repository / _FOLDER / source).exists()
                assert mode == ["ro"]
                command = " ".join(service["command"])
                assert target in command or target in service["environment"].values(), f"{name}: {target}"
            else:
                used.add(source)
    assert used == set(compose["volumes"])


def test_images_are_built_here_or_have_a_version(
    repository: Path, services: dict[str, dict[str, Any]], stages: dict[str, Stage]
) -> None:
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    built = set()
    for service in services.values():
        image, _, tag = service["image"].rpartition(":")
        if is_ours(service):
            assert tag == version
            built |= {(image, service["build"]["target"])} if "build" in service else set()
        else:
            assert re.search(r"\d", tag)
    assert built == {(one["image"].rpartition(":")[0], one["image"].removeprefix("corpusmill-").rpartition(":")[0])
                     for one in services.values() if is_ours(one)}  # fmt: skip
    assert {target for _, target in built} <= set(stages)
    assert not [text for text in map(json.dumps, services.values()) if "latest" in text]


def test_containers_have_no_rights_to_lose(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "pid", "ipc"} & set(service), name
        assert is_ours(service) or service.get("user", "root") != "root" or service.get("read_only"), name


def test_containers_have_limits(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert set(limits(service)) == {"cpus", "memory"}, name


def test_no_secret_is_in_the_file(repository: Path, raw_compose: dict[str, Any]) -> None:
    secrets = set()
    for service in raw_compose["services"].values():
        for key, value in service.get("environment", {}).items():
            if _SECRET.search(key):
                secrets |= {found[0] for found in re.findall(r"\$\{(\w+):\?([^}]+)\}", value)}
                assert re.search(r"\$\{\w+:\?copy example.env", value), key
    lines = (repository / _FOLDER / "example.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert given == dict.fromkeys(secrets, "")
    offered = {line[1:].partition("=")[0] for line in lines if re.match(r"#[A-Z_]+=", line)}
    text = (repository / _FOLDER / "compose.yaml").read_text()
    assert offered == set(re.findall(r"\$\{(\w+):-", text))


def test_the_database_is_the_servers_alone(services: dict[str, dict[str, Any]], compose: dict[str, Any]) -> None:
    assert {name for name, one in services.items() if "database" in one.get("networks", [])} == {
        "postgres",
        "prefect-server",
    }
    assert compose["networks"]["database"]["internal"] is True
    server = services["prefect-server"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    database = services["postgres"]["environment"]
    user, name = database["POSTGRES_USER"], database["POSTGRES_DB"]
    assert server == f"postgresql+asyncpg://{user}:POSTGRES_PASSWORD@postgres:5432/{name}"


def test_services_wait_for_what_can_be_waited_for(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}"
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no"


def test_the_bucket_is_made(services: dict[str, dict[str, Any]]) -> None:
    program, *words = services["s3-bucket"]["command"]
    assert program == "python"
    with s3_server() as endpoint:
        environment = {**os.environ, **services["s3-bucket"]["environment"], **s3_environment(endpoint)}
        for _ in range(2):  # a second time it is there
            done = subprocess.run(
                [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        code = "import s3fs; print(s3fs.S3FileSystem().ls(''))"
        listed = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
    assert listed.stdout.strip() == "['corpus']"
