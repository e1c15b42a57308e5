"""`corpusmill up`: what is there then, who may use it, what is told of, and what survives a kill."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from prefect_services import PLANTED, Services, told_of
from processes import alive, wait_until

from flows.services.events import BRAKE_EVENT, NOTIFICATIONS, SPIKE_EVENT, ZOMBIES
from flows.services.home import AUTH_FILE, HOME_VARIABLE, auth_string
from flows.services.rest import PrefectRest, ServerUnreachableError

pytestmark = pytest.mark.slow
EVENTS = (BRAKE_EVENT, SPIKE_EVENT)


def test_all_is_there_and_a_second_call_finds_it(services: Services, repository: Path) -> None:
    status = services.status()
    assert status["state"] == "up"
    assert status["database"] == "SQLite"
    wanted = yaml.safe_load((repository / "prefect.yaml").read_text())["deployments"]
    names = {f"{one['entrypoint'].rsplit('.', 1)[1].replace('_', '-')}/{one['name']}" for one in wanted}
    assert names <= set(status["deployments"])
    assert status["queues"]["data"]["limit"] == 4
    assert status["queues"]["gpu"]["limit"] == status["gpu_slots"]["limit"] == 1
    assert set(status["automations"]) == {*ZOMBIES, *NOTIFICATIONS}
    assert len(status["workers"]) == 1
    before = {one["id"]: one["updated"] for one in services.rest().all_of("/automations/filter")}
    again = services.up()
    assert again["was_up"] is True
    assert again["ui"] == status["ui"]
    assert services.status()["processes"] == status["processes"]
    # An automation that is made anew has forgotten which runs it watches.
    assert {one["id"]: one["updated"] for one in services.rest().all_of("/automations/filter")} == before


def test_other_settings_want_another_start(services: Services) -> None:
    said = services.call("up", "--set", "port=4321")
    assert said.code == 2
    assert "is up with other settings (port=0); `corpusmill down` stops it" in said.err


def test_what_people_read(services: Services) -> None:
    said = services.call("up")
    assert said.code == 0, said.err
    ui = services.status()["ui"]
    assert f"Prefect was up already, and is up to date: {ui}" in said.out
    assert f"log in with what is in {services.home / AUTH_FILE}" in said.out
    assert f'env PREFECT_API_URL={ui}/api PREFECT_API_AUTH_STRING="$(cat {services.home / AUTH_FILE})"' in said.out
    told = services.call("status").out
    assert "state        up" in told
    assert re.search(r"data \d of 4", told)


def test_the_pages_ask_the_server_that_serves_them(services: Services) -> None:
    ui = services.status()["ui"]
    settings = httpx.get(f"{ui}/ui-settings").json()
    assert settings["api_url"] == f"{ui}/api"
    assert settings["auth"] == "BASIC"
    assert settings["csrf_enabled"] is True
    assert "v2" in settings["available_uis"]
    page = httpx.get(f"{ui}/v2/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "<html" in page.text


def test_nobody_gets_in_without_the_password_or_from_another_page(services: Services) -> None:
    api = services.status()["api"]
    assert httpx.get(f"{api}/flows/count").status_code in {401, 405}
    with pytest.raises(ServerUnreachableError, match=r"refuses the password \(401\)"):
        PrefectRest(api, "corpusmill:guessed").get("/automations/count")
    user, _, password = (auth_string(services.home) or "").partition(":")
    forged = httpx.post(f"{api}/flows/filter", json={}, auth=(user, password))
    assert forged.status_code == 403
    assert "CSRF" in forged.text
    assert (services.home / AUTH_FILE).stat().st_mode & 0o777 == 0o600
    assert services.home.stat().st_mode & 0o777 == 0o700


@pytest.fixture(scope="module")
def runs(services: Services) -> dict[str, str]:
    """Runs that were asked for at once, by what they are for."""
    about = {"subject": "clean web/2026-30", "message": "too much went"}
    return {
        "note": services.run("probe-note", path=str(services.home / "note"), text="written in"),
        "fail": services.run("probe-fail", message='no such "thing"'),
        **{event: services.run("probe-event", event=event, **about) for event in EVENTS},
    }


def test_a_run_works_in_the_folder_in_which_up_was_called(services: Services, runs: dict[str, str]) -> None:
    services.wait_for(runs["note"], "COMPLETED")
    assert (services.home / "note").read_text() == f"written in {services.folder}"


def test_a_failed_run_is_told_of_once(
    services: Services, webhook: tuple[str, list[dict[str, Any]]], runs: dict[str, str]
) -> None:
    run = runs["fail"]
    services.wait_for(run, "FAILED")
    told = told_of(webhook[1], lambda one: one.get("flow") == "probe-fail", "the call of the webhook")
    assert told["state"] == "Failed"
    assert 'no such "thing"' in told["message"]
    assert told["text"].startswith("Run ")
    assert told["content_type"] == "application/json"
    assert run in told["url"]


@pytest.mark.parametrize("event", EVENTS)
def test_our_own_events_are_told_of(
    event: str, services: Services, webhook: tuple[str, list[dict[str, Any]]], runs: dict[str, str]
) -> None:
    services.wait_for(runs[event], "COMPLETED")
    # Other tests on this server meet a real brake.
    said = "clean web/2026-30: too much went"
    told = told_of(webhook[1], lambda one: (one.get("event"), one.get("text")) == (event, said), f"the call on {event}")
    assert told["subject"] == "clean web/2026-30"


def test_a_killed_server_is_started_again_at_the_same_address(services: Services) -> None:
    before = services.daemon("server")
    children = psutil.Process(before).children(recursive=True)
    for process in [*children, psutil.Process(before)]:
        process.kill()
    wait_until(lambda: services.daemon("server") not in {0, before}, "the server that was started again")
    assert services.rest().healthy()
    assert "server" in services.status()["restarted"]
    assert services.status()["state"] == "up"


def test_a_killed_worker_takes_its_runs_along_and_they_are_crashed(
    services: Services, webhook: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    kept = services.run("probe-note", path=str(tmp_path / "kept"), text="kept")
    services.wait_for(kept, "COMPLETED")
    run = services.run("probe-hold", path=str(tmp_path / "pid"))
    pid = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the run"))
    rest = services.rest()

    def signs_of_life() -> list[dict[str, Any]]:
        wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
        return list(rest.post("/events/filter", {"filter": wanted})["events"])

    wait_until(signs_of_life, "a sign of life of the run")
    assert services.status()["gpu_slots"] == {"limit": 1, "running": 1}
    worker = services.daemon("worker-1")
    for process in [*psutil.Process(worker).children(), psutil.Process(worker)]:
        process.kill()
    wait_until(lambda: not alive(pid), "the end of the run's process", 15)
    state = services.wait_for(run, "CRASHED")
    assert "no sign of life for 60 s" in state["message"]
    told = told_of(webhook[1], lambda one: one.get("flow") == "probe-hold", "the call of the webhook")
    assert told["state"] == "Crashed"
    assert services.state(kept)["type"] == "COMPLETED"
    wait_until(lambda: services.status()["gpu_slots"]["running"] == 0, "the slot to be free")
    assert "worker-1" in services.status()["restarted"]
    again = services.run("probe-note", path=str(tmp_path / "again"), text="again")
    services.wait_for(again, "COMPLETED")


def test_no_secret_is_written_anywhere(services: Services) -> None:
    password = (auth_string(services.home) or "").partition(":")[2]
    assert len(password) >= 32
    texts = list(services.texts())
    assert any(name.endswith("server.log") for name, _ in texts)
    assert any(name.startswith("arguments of") for name, _ in texts)
    for secret in (password, PLANTED):
        assert not [name for name, text in texts if secret in text]
    block = services.rest().post("/block_documents/filter", {"include_secrets": False})
    assert PLANTED not in str(block)
    told = services.call("up", "--json")
    assert PLANTED not in told.out + told.err
    assert password not in told.out + told.err


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = Services(tmp_path / "home").call("up", "--set", f"port={port}")
    assert said.code == 2
    assert f"cannot listen on port {port} of 127.0.0.1: Address already in use; give another, --set port=" in said.err
    assert f"{HOME_VARIABLE}" not in said.err
