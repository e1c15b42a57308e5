"""Runs of deployments on real pages: what each shows of itself, and what it says when it fails."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from prefect_api import PrefectApi
from processes import command_of, wait_until

pytestmark = pytest.mark.slow

PAGES = "warc/aut/example.warc.gz"


@pytest.fixture(scope="module")
def built(api: PrefectApi, shared_data: Path, settings: Path, tmp_path_factory) -> tuple[str, dict]:
    """A run that has built a corpus of real pages, and what it was asked for."""
    asked = {
        "root": str(tmp_path_factory.mktemp("built") / "corpus"),
        "config": str(settings),
        "source": "archive",
        "partition": "2016-03",
        "inputs": [str(shared_data / PAGES)],
        "workers": 1,
        "small_corpus": "leave out",
    }
    return api.start_run("corpus-build/local", asked), asked


def test_a_build_ends_well_under_a_readable_name(api: PrefectApi, built):
    run = api.completed(built[0])
    assert run["name"] == "corpus-build archive/2016-03"
    marks = {tag.partition(":")[0]: tag for tag in run["tags"]}
    assert (marks["stage"], marks["partition"]) == ("stage:corpus", "partition:archive/2016-03")
    assert len(marks["run"]) == len("run:") + 12
    tasks = api.task_runs(built[0])
    assert "stage:clean" in tasks["clean archive/2016-03"]["tags"]


def test_a_build_shows_progress_and_where_items_went(api: PrefectApi, built):
    api.ended(built[0])
    shown = api.artifacts(built[0])
    progress = shown["progress-corpus-build-archive-2016-03"]
    assert (progress["type"], progress["data"]) == ("progress", 100.0)
    assert progress["description"] == "7 of 7 steps done"
    rows = shown["funnel-rows-archive-2016-03"]["data"]
    assert rows.startswith("[{")
    plot = shown["funnel-archive-2016-03"]["data"]
    assert "```mermaid" in plot
    assert "xychart-beta horizontal" in plot
    assert "flowchart LR" in shown["lineage-archive-2016-03"]["data"]


def test_the_log_tells_of_each_step(api: PrefectApi, built):
    api.ended(built[0])
    lines = api.logs(built[0])
    assert any(line.startswith("clean: begun") for line in lines)
    assert any(line.startswith("clean: done, ") and " kept " in line for line in lines)


def test_the_same_again_finds_all_done_and_keeps_the_history(api: PrefectApi, built):
    first = api.completed(built[0])
    again = api.completed(api.start_run("corpus-build/local", built[1]))
    assert sorted(again["tags"]) == sorted(first["tags"])
    history = api.ask("artifacts/filter", {"artifacts": {"key": {"any_": ["funnel-archive-2016-03"]}}})
    assert {one["flow_run_id"] for one in history} == {built[0], again["id"]}


def test_a_brake_names_what_failed_and_how_to_go_on_and_is_not_tried_again(
    api: PrefectApi, shared_data: Path, tmp_path: Path
):
    config = tmp_path / "strict.toml"
    config.write_text('[clean]\nrules = ["words-at-least"]\nbrake = 0.1\nbrake_least_pages = 5\n')
    config.write_text(config.read_text() + "[clean.thresholds]\nwords-at-least = 100000\n")
    root = str(tmp_path / "corpus")
    asked = {"root": root, "source": "archive", "partition": "2016-03", "inputs": [str(shared_data / PAGES)]}
    run = api.ended(api.start_run("corpus-build/local", {**asked, "workers": 1, "config": str(config)}))
    assert run["state"]["type"] == "FAILED"
    message = run["state"]["message"]
    assert "clean of archive/2016-03 failed: rules dropped " in message
    assert f"; to go on: corpusmill run clean --root {root} --source archive --partition 2016-03 --input " in message
    assert api.task_runs(run["id"])["clean archive/2016-03"]["run_count"] == 1
    (event,) = wait_until(lambda: [e for e in api.events("corpusmill.brake") if root in str(e)], "the event")
    assert event["resource"]["prefect.resource.name"] == "clean of archive/2016-03"
    assert event["payload"]["stopped"] is True
    assert {one["prefect.resource.id"] for one in event["related"]} >= {f"prefect.flow-run.{run['id']}"}


def test_a_step_whose_process_is_killed_is_done_again(
    api: PrefectApi, shared_data: Path, settings: Path, tmp_path: Path
):
    root = str(tmp_path / "corpus")
    asked = {"root": root, "source": "archive", "partition": "2016-03", "inputs": [str(shared_data / "warc/jwarc")]}
    more = {"workers": 1, "config": str(settings), "small_corpus": "leave out"}
    run = api.start_run("corpus-build/local", {**asked, **more})

    def cleaning() -> list[psutil.Process]:
        return [one for one in psutil.process_iter() if f"flows.cli run clean --root {root} " in command_of(one)]

    victims = wait_until(cleaning, "the process that cleans")
    for victim in victims:
        victim.kill()
    api.completed(run)
    assert api.task_runs(run)["clean archive/2016-03"]["run_count"] == 2


def test_a_mistake_of_the_user_is_not_tried_again(api: PrefectApi, tmp_path: Path):
    asked = {"root": str(tmp_path / "corpus"), "source": "web", "partition": "7", "inputs": [str(tmp_path / "gone")]}
    run = api.ended(api.start_run("corpus-build/local", asked))
    assert run["state"]["type"] == "FAILED"
    assert f"clean of web/7: no file or folder {tmp_path}/gone; give --input something" in run["state"]["message"]
    assert api.task_runs(run["id"])["clean web/7"]["run_count"] == 1
