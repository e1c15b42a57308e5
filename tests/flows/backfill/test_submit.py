"""A backfill through a real Prefect server: runs made in bulk and once, waited for, and cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fake_units import FakeCorpus

from flows.backfill import submit
from flows.backfill.ledger import Ledger
from flows.backfill.requests import Asked
from flows.backfill.submit import PrefectBackfill
from flows.prefect_server import EmbeddedServer
from flows.services.rest import PrefectRest, ServerUnreachableError
from schemas.configs.run_stage import StageParameters
from schemas.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectRest]:
    """A server with the deployment, and without a worker."""
    server = EmbeddedServer(tmp_path_factory.mktemp("prefect") / "home")
    try:
        server.require_up()
        yield PrefectRest(server.url, seconds=120.0)
    finally:
        server.stop()


def deploy(rest: PrefectRest) -> None:
    """The deployment as `prefect.yaml` has it, with its form."""
    form = StageParameters.model_json_schema()
    schema = {"type": "object", "properties": {"parameters": form}, "required": ["parameters"]}
    schema["definitions"] = form.pop("$defs", {})
    flow = rest.post("/flows/", {"name": "run-stage"})["id"]
    rest.post("/deployments/", {"name": "local", "flow_id": flow, "parameter_openapi_schema": schema})


def states(rest: PrefectRest) -> list[str]:
    return sorted(row["state_type"] for row in rest.all_of("/flow_runs/filter"))


class Worker(threading.Thread):
    """Does what runs ask for, in name only, and says how they ended."""

    def __init__(self, corpus: FakeCorpus, rest: PrefectRest, failing: set[tuple[str, str]]) -> None:
        super().__init__(daemon=True)
        self.corpus, self.rest, self.failing = corpus, PrefectRest(rest.api, seconds=120.0), failing
        self.done: list[tuple[str, str]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.5):
            with suppress(ServerUnreachableError):  # SQLite is locked now and then
                self.look()

    def look(self) -> None:
        """Do what is scheduled."""
        scheduled = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        for row in self.rest.all_of("/flow_runs/filter", flow_runs=scheduled):
            asked = StageParameters.model_validate(row["parameters"]["parameters"])
            unit = (asked.stage, asked.partition)
            ended = "FAILED" if unit in self.failing else "COMPLETED"
            if ended == "COMPLETED":
                self.corpus.run(asked.stage, asked.partition)
            self.done.append(unit)
            self.end(row["id"], ended)

    def watched(self, _text: str = "") -> None:
        """For who waits for runs: nothing comes of it when nobody does them."""
        assert self.is_alive()

    def end(self, run: str, state: str) -> None:
        """Set a state; SQLite is locked now and then."""
        for _ in range(100):
            with suppress(ServerUnreachableError):
                self.rest.post(f"/flow_runs/{run}/set_state", {"state": {"type": state}, "force": True})
                return
            time.sleep(0.1)


def test_runs_are_made_once_and_again_after_they_were_cancelled(
    corpus: FakeCorpus, rest: PrefectRest, monkeypatch: pytest.MonkeyPatch
):
    for name in ("1", "2", "3"):
        corpus.raw(name)
    asked = Asked(corpus.root, Ledger(corpus.root).begin(corpus.asked("corpus", "1..3", max_active=10).backfill))
    with pytest.raises(InputError, match=r"the deployment run-stage/local cannot be had: .*--local needs none"):
        PrefectBackfill(asked, rest).submit()
    deploy(rest)
    monkeypatch.setattr(submit, "_AT_ONCE", 2)

    first = PrefectBackfill(asked, rest).submit()
    assert (first.made, first.known, first.waiting) == (3, 0, 9)
    assert states(rest) == ["SCHEDULED"] * 3
    (row,) = [one for one in rest.all_of("/flow_runs/filter") if one["name"] == "clean web/2"]
    assert {"stage:clean", "partition:web/2", f"backfill:{asked.backfill.identity()}"} <= set(row["tags"])
    again = PrefectBackfill(asked, rest).submit()
    assert (again.made, again.known) == (0, 3)

    assert PrefectBackfill(asked, rest).cancel() == 3
    assert states(rest) == ["CANCELLED"] * 3
    third = PrefectBackfill(asked, rest).submit()
    assert (third.made, third.known) == (3, 0)
    assert PrefectBackfill(asked, rest).cancel() == 3


def test_waiting_makes_runs_as_they_can_begin(tmp_path: Path, rest: PrefectRest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(submit, "_LOOK_SECONDS", 0.5)
    corpus = FakeCorpus(tmp_path)
    corpus.tokenizer()
    for name in ("1", "2", "3"):
        corpus.raw(name)
    asked = Asked(corpus.root, Ledger(corpus.root).begin(corpus.asked("corpus", "1..3", max_active=10).backfill))
    worker = Worker(corpus, rest, {("dedup", "2")})
    worker.start()
    try:
        report = PrefectBackfill(asked, rest).wait(worker.watched)
        assert report.messages == ["dedup of web/2 failed: its run ended failed"]
        assert report.plan.counts() == {"done": 2, "missing": 1}
        assert [name for stage, name in worker.done if stage == "dedup"] == ["1", "2", "3"]
        worker.failing.clear()
        assert PrefectBackfill(asked, rest).wait(worker.watched).plan.counts() == {"done": 3}
        made = len(rest.all_of("/flow_runs/filter"))
        assert PrefectBackfill(asked, rest).wait(worker.watched).made == 0
        assert len(rest.all_of("/flow_runs/filter")) == made
    finally:
        worker.stop.set()
        worker.join()
