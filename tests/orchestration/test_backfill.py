"""A backfill through Prefect: its worker does the units, each run says which, the ledger knows what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect_services import Said, Services

pytestmark = pytest.mark.slow
PAGE = "<html><body><p>{}</p></body></html>"
SENTENCE = "The mill of day {} ran day and night until the river froze over, and the miller wrote it all down. "


def test_units_are_done_by_the_worker_and_one_that_cannot_be_holds_up_no_other(
    services: Services, settings: Path, tmp_path: Path
) -> None:
    for day in range(3):
        folder = tmp_path / "days" / f"day-{day}"
        folder.mkdir(parents=True)
        for number in range(20):
            text = (SENTENCE.format(100 * day + number) * 5) if day != 1 else ""
            (folder / f"{number}.html").write_text(PAGE.format(text))
    where = ["--root", str(tmp_path / "corpus"), "--source", "web", "--partitions", "day-0..day-2"]
    more = ["--input", f"{tmp_path}/days/{{partition}}", "--config", str(settings), "--max-attempts", "1"]
    brake = ["--set", "brake=0.9", "--set", "brake_least_pages=20"]

    def backfill(verb: str, *words: str) -> Said:
        return services.call("backfill", verb, "clean", *where, *words, "--json")

    said = backfill("run", *more, *brake, "--wait")
    assert said.code == 1
    assert said.json()["counts"] == {"done": 2, "poisoned": 1}
    assert said.json()["runs_made"] == 3
    mark = f"backfill:{said.json()['backfill']}"
    runs = services.rest().all_of("/flow_runs/filter", flow_runs={"tags": {"all_": [mark]}}, sort="ID_DESC")
    assert {run["name"]: run["state_type"] for run in runs} == {
        "clean web/day-0": "COMPLETED",
        "clean web/day-1": "FAILED",
        "clean web/day-2": "COMPLETED",
    }
    assert all({"stage:clean", f"partition:{run['name'].split()[1]}"} <= set(run["tags"]) for run in runs)
    (failed,) = (run for run in runs if run["state_type"] == "FAILED")
    assert "rules dropped 20 of 20 pages" in failed["state"]["message"]
    assert "rules dropped 20 of 20 pages" in str(backfill("status").json()["partitions"])
    for number in range(20):
        (tmp_path / "days" / "day-1" / f"{number}.html").write_text(PAGE.format(SENTENCE.format(number) * 5))
    assert backfill("retry").code == 0
    again = backfill("resume", "--wait")
    assert (again.code, again.json()["counts"], again.json()["runs_made"]) == (0, {"done": 3}, 1)
    assert backfill("resume", "--wait").json()["runs_made"] == 0
