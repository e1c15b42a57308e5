"""What `corpusmill up` says where it cannot start, and how others find the server that is up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.main import run
from flows.keeping.keeper import take_lock
from flows.prefect_server import listening_socket
from flows.services.daemons import DATABASE_VARIABLE, ServicesPlan, client_environment, gpu_count
from flows.services.deployments import apply_deployments, deployments_file
from flows.services.gpu_slots import LIMIT_VARIABLE, gpu_slot, limit_name
from flows.services.home import (
    HOME_VARIABLE,
    ServicesDescription,
    auth_string,
    connect,
    description_file,
    make_auth_string,
    prefect_command,
    read_services,
    services_home,
)
from flows.services.rest import PrefectRest, ServerUnreachableError
from schemas.configs.up import UpConfig
from schemas.errors import ConfigError, InputError, StageError
from schemas.lease import process_start


def description(**about: object) -> ServicesDescription:
    """Of a server that this process keeps."""
    known = {
        "listens": "http://127.0.0.1:9",
        "url": "https://prefect.example",
        "folder": "/",
        "database": "SQLite",
        "workers": 1,
        "gpu_limit": "gpu:here",
        "gpu_slots": 1,
        "keeper_pid": os.getpid(),
        "keeper_start": process_start(os.getpid()),
    }
    return ServicesDescription.model_validate({**known, **about})


def test_the_home_is_given_or_in_the_environment_or_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "a"))
    assert services_home() == tmp_path / "a"
    assert services_home(str(tmp_path / "b")) == tmp_path / "b"
    monkeypatch.delenv(HOME_VARIABLE)
    assert services_home() == Path.home() / ".corpusmill" / "prefect"


def test_a_password_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    assert auth_string(tmp_path) is None
    made = make_auth_string(tmp_path)
    assert make_auth_string(tmp_path) == made == auth_string(tmp_path)
    assert made.startswith("corpusmill:")
    assert (tmp_path / "auth").stat().st_mode & 0o777 == 0o600
    assert made.partition(":")[2] not in prefect_command(tmp_path, description())


def test_only_a_server_whose_keeper_lives_is_up(tmp_path: Path) -> None:
    assert read_services(tmp_path) is None
    description_file(tmp_path).write_text(description().model_dump_json())
    assert read_services(tmp_path) == description()
    description_file(tmp_path).write_text(description(keeper_start="another").model_dump_json())
    assert read_services(tmp_path) is None
    description_file(tmp_path).write_text("{")
    with pytest.raises(InputError, match=r"services\.json: .*; stop what runs there with `corpusmill down`"):
        read_services(tmp_path)


def test_without_a_server_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"no Prefect server is up in .*; start one with `corpusmill up`, or set"):
        connect(str(tmp_path))
    assert run(["status", "--home", str(tmp_path)]) == 0
    assert "down" in capsys.readouterr().out
    assert run(["down", "--home", str(tmp_path), "--json"]) == 0
    assert '"stopped": false' in capsys.readouterr().out


def test_connecting_sets_what_prefect_reads(tmp_path: Path) -> None:
    description_file(tmp_path).write_text(description().model_dump_json())
    auth = make_auth_string(tmp_path)
    # Its parent, this process, is the keeper that the description names.
    code = (
        "from flows.services.home import connect; connect(); from prefect.settings import get_current_settings as get"
    )
    more = "; s = get(); print(s.api.url, s.api.auth_string.get_secret_value(), s.api.key, s.home)"
    env = {**os.environ, HOME_VARIABLE: str(tmp_path), "PREFECT_API_KEY": "left-over"}
    done = subprocess.run([sys.executable, "-c", code + more], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["http://127.0.0.1:9/api", auth, "None", str(tmp_path)]


def test_what_cannot_be_started_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = str(tmp_path / "home")
    assert run(["up", "--home", home, "--set", f"folder={tmp_path}/none"]) == 2
    assert f"up.folder: {tmp_path}/none is no folder; give one that is there" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run(["up", "--home", f"{tmp_path}/file/home"]) == 2
    assert f"cannot write {tmp_path}/file/home: Not a directory; give another --home" in capsys.readouterr().err
    assert run(["up", "--home", home, "--set", "port=0", "--set", "workers=2"]) == 2
    said = capsys.readouterr().err
    assert "up.workers: 2 workers on SQLite lock each other out; give a PostgreSQL database, or one worker" in said
    monkeypatch.setenv(DATABASE_VARIABLE, "mysql://mill:hunter2@db/prefect")
    assert run(["up", "--home", home, "--set", "port=0"]) == 2
    said = capsys.readouterr().err
    assert f"{DATABASE_VARIABLE} in the environment: a database is postgresql://" in said
    assert "hunter2" not in said


def test_a_server_on_its_way_up_or_down_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert take_lock(tmp_path)
    assert run(["up", "--home", str(tmp_path)]) == 2
    assert "a Prefect server is starting or stopping in" in capsys.readouterr().err


def test_nothing_of_the_users_prefect_and_no_secret_goes_to_flows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_API_KEY", DATABASE_VARIABLE, "CORPUSMILL_WEBHOOK_URL", "PGPASSWORD"):
        monkeypatch.setenv(name, "s3cr3t")
    env = client_environment(tmp_path, description(), UpConfig())
    assert "s3cr3t" not in env.values()
    assert env["PREFECT_API_URL"] == "http://127.0.0.1:9/api"
    assert env["PREFECT_HOME"] == str(tmp_path)


@pytest.mark.parametrize(
    ("host", "listens", "url"),
    [("127.0.0.1", "127.0.0.1", ""), ("0.0.0.0", "127.0.0.1", ""), ("localhost", "localhost", "https://mill.example")],
)
def test_addresses(host: str, listens: str, url: str, tmp_path: Path) -> None:
    with listening_socket(host, 0) as listener:
        plan = ServicesPlan(UpConfig(host=host, url=url), tmp_path, listener)
        port = listener.getsockname()[1]
        assert plan.listens == f"http://{listens}:{port}"
        assert plan.url == (url or plan.listens)
        server = plan.server()
    assert server.env is not None
    assert server.env["PREFECT_UI_API_URL"] == f"{url or f'http://{listens}:{port}'}/api"
    assert "PREFECT_SERVER_API_AUTH_STRING" not in server.env


def test_a_password_of_the_database_goes_to_the_server_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgres://mill:hunter2@db/prefect")
    with listening_socket("127.0.0.1", 0) as listener:
        plan = ServicesPlan(UpConfig(workers=2), tmp_path, listener)
        daemons = [plan.server(), *plan.workers()]
        assert plan.describe().database == "PostgreSQL"
    server, *workers = daemons
    assert server.env is not None
    assert server.env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://mill:hunter2@db/prefect"
    assert len(workers) == 2
    assert not [one for one in workers if "hunter2" in str(one.env)]
    assert not [one for one in daemons if "hunter2" in " ".join(one.argv)]
    monkeypatch.setenv(DATABASE_VARIABLE, "db/prefect")
    with pytest.raises(ConfigError, match="in the environment: a database is"):
        _ = plan.database


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for visible, count in (("", 0), ("-1", 0), ("0", 1), ("2,3", 2)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert gpu_count() == count


def test_a_flow_without_a_worker_of_ours_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    entered = []
    with gpu_slot():
        entered.append(True)
    assert entered == [True]


def test_a_server_that_is_not_there_is_named() -> None:
    rest = PrefectRest("http://127.0.0.1:9/api", "user:password", seconds=5)
    assert rest.healthy() is False
    with pytest.raises(ServerUnreachableError, match=r"http://127\.0\.0\.1:9/api does not answer: "):
        rest.post("/flows/filter")


def test_refused_deployments_are_told_of_with_prefects_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployments_file().name == "prefect.yaml"
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho '╭─╮'; echo '│ no such pool │'; echo '╰─╯'; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("flows.services.deployments.sys.executable", str(program))
    with pytest.raises(StageError, match=r"the deployments of .*prefect\.yaml were refused: no such pool$"):
        apply_deployments(str(tmp_path), {})


def test_deploy_wants_a_server_and_nothing_that_only_up_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert run(["deploy"]) == 2
    assert "PREFECT_API_URL is not set; give the server's URL in it, such as http://" in capsys.readouterr().err
    assert run(["deploy", "--set", "port=4300"]) == 2
    assert "up.port: a setting of a server that `corpusmill up` starts" in capsys.readouterr().err
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert run(["deploy", "--wait", "1"]) == 1
    assert "http://127.0.0.1:9/api was not set up within 1 s; is a Prefect server there?" in capsys.readouterr().err


def test_the_limit_is_that_of_the_environment_or_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "gpu:rack")
    assert limit_name() == "gpu:rack"
    monkeypatch.delenv(LIMIT_VARIABLE)
    assert limit_name().startswith("gpu:")
    assert limit_name() != "gpu:rack"
