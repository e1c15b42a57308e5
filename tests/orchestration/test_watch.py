"""The watch for new snapshots, on a copy of Common Crawl with real files: it builds what is new, and only that."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, serve_files
from prefect_api import PrefectApi
from prefect_services import Services

from schemas.corpus_root import CorpusRoot

pytestmark = pytest.mark.slow

# A real crawl for each snapshot: each is one WARC file.
FILES = {"CC-MAIN-2026-30": "warc/ukwa/BL-20140325122341434-00000-32090~opera~8443.warc.gz"}
NEW = {"CC-MAIN-2026-34": "warc/whirlwind/whirlwind.warc.gz"}


def publish(mirror: Path, files: dict[str, str], data: Path) -> None:
    """Put snapshots on the server, each with its files and in the list, the newest first."""
    listing = mirror / "collinfo.json"
    listed = json.loads(listing.read_text()) if listing.exists() else []
    for snapshot, name in files.items():
        path = f"crawl-data/{snapshot}/segments/1.1/warc/{snapshot}-00000.warc.gz"
        (mirror / path).parent.mkdir(parents=True)
        shutil.copyfile(data / name, mirror / path)
        (mirror / "crawl-data" / snapshot / "warc.paths.gz").write_bytes(gzip.compress(f"{path}\n".encode()))
        listed.insert(0, {"id": snapshot, "name": f"Index {snapshot}"})
    listing.write_text(json.dumps(listed))


@pytest.fixture
def mirror(tmp_path: Path, shared_data: Path) -> Iterator[FileServer]:
    (tmp_path / "mirror").mkdir()
    publish(tmp_path / "mirror", FILES, shared_data)
    with serve_files(tmp_path / "mirror") as served:
        yield served


def partitions(root: str, table: str) -> list[str]:
    return [key.partition for key in CorpusRoot(root).partitions(table)]


def test_a_new_snapshot_is_built_and_only_that(
    api: PrefectApi, mirror: FileServer, settings: Path, shared_data: Path, tmp_path: Path
):
    root = str(tmp_path / "corpus")
    asked = {"root": root, "index_url": mirror.url, "base_url": mirror.url, "config": str(settings), "workers": 1}
    asked["small_corpus"] = "leave out"

    def look() -> tuple[dict, list[dict], int]:
        """A run, the rows that it shows, and how many WARC files were fetched for it."""
        mirror.log.clear()
        run = api.completed(api.start_run("watch-snapshots/local", asked))
        rows = json.loads(api.artifacts(run["id"])["snapshots-common-crawl"]["data"])
        return run, rows, len(mirror.gets(".warc.gz"))

    first, rows, fetched = look()
    assert first["name"] == "watch-snapshots common_crawl"
    assert [(row["partition"], row["decision"]) for row in rows] == [("CC-MAIN-2026-30/00000", "build")]
    assert partitions(root, "tokens/bpe/train") == ["CC-MAIN-2026-30/00000"]
    assert fetched

    assert [row["decision"] for row in look()[1]] == ["there"]

    publish(mirror.folder, NEW, shared_data)
    _, rows, _ = look()
    assert [(row["partition"], row["decision"]) for row in rows] == [
        ("CC-MAIN-2026-30/00000", "there"),
        ("CC-MAIN-2026-34/00000", "build"),
    ]
    assert not mirror.gets("CC-MAIN-2026-30-00000.warc.gz")
    assert partitions(root, "tokens/bpe/train") == ["CC-MAIN-2026-30/00000", "CC-MAIN-2026-34/00000"]


def test_a_second_look_while_one_goes_on_is_cancelled(api: PrefectApi, tmp_path: Path):
    # Far ahead, so that no worker takes them: what a worker does first is done here.
    ahead = {"scheduled_time": "2100-01-01T00:00:00Z"}
    asked = {"root": str(tmp_path / "corpus")}
    first, second, third = (api.start_run("watch-snapshots/local", asked, state_details=ahead) for _ in range(3))

    def propose(run: str, kind: str) -> dict:
        answer = api.ask(f"flow_runs/{run}/set_state", {"state": {"type": kind, "message": "by a test"}})
        return answer["state"]

    assert propose(first, "PENDING")["type"] == "PENDING"
    refused = propose(second, "PENDING")
    assert (refused["type"], refused["message"]) == ("CANCELLED", "Deployment concurrency limit reached.")
    assert propose(first, "CANCELLED")["type"] == "CANCELLED"
    assert propose(third, "PENDING")["type"] == "PENDING"
    propose(third, "CANCELLED")


def test_the_weekly_schedule_is_paused_and_has_its_zone(api: PrefectApi):
    (weekly,) = api.deployment("watch-snapshots/local")["schedules"]
    assert (weekly["slug"], weekly["active"]) == ("weekly", False)
    assert (weekly["schedule"]["cron"], weekly["schedule"]["timezone"]) == ("0 6 * * 1", "UTC")


def test_a_watch_is_made_changed_and_ended_by_a_command_and_outlives_a_deployment(
    services: Services, api: PrefectApi, tmp_path: Path
):
    root = str(tmp_path / "corpus")

    def schedules() -> dict[str, dict]:
        found = api.deployment("watch-snapshots/local")["schedules"]
        return {one["slug"]: one for one in found if one["slug"].startswith("watch-")}

    on = ("watch", "on", "--root", root)
    said = services.call(*on, "--cron", "30 7 * * 2", "--timezone", "Europe/Berlin", "--set", "slices=4")
    assert said.code == 0, said.err
    assert said.out == f"Looking for snapshots for common_crawl in {root} at '30 7 * * 2' in Europe/Berlin\n"
    (made,) = schedules().values()
    assert (made["active"], made["schedule"]["cron"], made["schedule"]["timezone"]) == (
        True,
        "30 7 * * 2",
        "Europe/Berlin",
    )
    assert made["parameters"]["parameters"]["slices"] == 4
    services.up()
    assert schedules() == {made["slug"]: made}
    assert services.call(*on, "--cron", "0 5 * * *").code == 0
    watches = services.call("watch", "list", "--json").json()["watches"]
    assert watches == [{"root": root, "source": "common_crawl", "cron": "0 5 * * *", "timezone": "UTC", "active": True}]
    assert root in services.call("watch", "list").out
    assert services.call("watch", "off", "--root", root, "--json").json()["was_on"] is True
    assert (
        services.call("watch", "off", "--root", root).out == f"Nobody looked for snapshots for common_crawl in {root}\n"
    )
    assert "no corpus is looked after" in services.call("watch", "list").out
    assert schedules() == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cron", "now and then"), "--cron 'now and then' is no cron: give five fields, such as"),
        (("--timezone", "Berlin"), "--timezone 'Berlin' is no timezone: give a zone by name, such as UTC"),
    ],
)
def test_times_that_are_none_are_refused(services: Services, words: tuple[str, str], said: str):
    ended = services.call("watch", "on", "--root", "corpus", *words)
    assert ended.code == 2
    assert said in ended.err
