"""A backfill through Prefect: runs of the deployment `run-stage`, made in bulk, each at most once.

A run is known by its idempotency key: backfill, unit, and how many runs of it have ended so far. Whoever submits the
same plan again, or at the same moment, makes no second run, and a unit whose run was cancelled or crashed gets another.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.backfill.ledger import Ledger
from flows.backfill.plan import Plan, UnitName, make_plan, tokenizer_unit
from flows.backfill.requests import Asked
from flows.backfill.round import Round
from flows.services.home import HOME_VARIABLE, auth_string, read_services, services_home
from flows.services.rest import PrefectRest
from schemas.errors import InputError, StageError

__all__ = ["DEPLOYMENT", "PrefectBackfill", "Submitted", "required_server", "server_if_up"]

DEPLOYMENT = "run-stage/local"
_AT_ONCE = 100  # the server takes no more in one call
_ANSWER_SECONDS = 120.0  # a hundred runs take a server on SQLite seconds, and on busy cores ten times as long
_LOOK_SECONDS = 2.0
_TRIES, _TRY_SECONDS = 6, 0.2
_ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
_OPEN = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED"]


@dataclass
class Submitted:
    """Runs that were made now, runs that were there, and units that wait for others to be done first."""

    plan: Plan
    made: int = 0
    known: int = 0
    waiting: int = 0
    messages: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """What was made, as numbers."""
        return {"runs_made": self.made, "runs_known": self.known, "units_waiting": self.waiting}


@dataclass
class _Runs:
    """The runs of a backfill on the server, by unit."""

    ended: Counter[UnitName] = field(default_factory=Counter)
    open: set[UnitName] = field(default_factory=set)
    last: dict[UnitName, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)


class PrefectBackfill:
    """A backfill on a Prefect server.

    Args:
        asked: the backfill.
        rest: the server.
    """

    def __init__(self, asked: Asked, rest: PrefectRest) -> None:
        self._asked, self._rest = asked, rest
        self._id = asked.backfill.identity()

    def _deployment(self) -> str:
        try:
            return str(self._rest.get(f"/deployments/name/{DEPLOYMENT}")["id"])
        except StageError as error:
            raise InputError(
                f"the deployment {DEPLOYMENT} cannot be had: {error}; `corpusmill up` makes it, and --local needs none"
            ) from error

    def _runs(self) -> _Runs:
        """What the server knows of this backfill; a unit is told by its tags."""
        rows = self._rest.all_of(
            "/flow_runs/filter", flow_runs={"tags": {"all_": [f"backfill:{self._id}"]}}, sort="EXPECTED_START_TIME_ASC"
        )
        by_tags = {self._tags(name): name for name in self._names()}
        found = _Runs()
        for row in rows:
            found.ids.add(row["id"])
            name = by_tags.get(frozenset(tag for tag in row["tags"] if tag.startswith(("stage:", "partition:"))))
            if name is None:
                continue
            if row["state_type"] in _ENDED:
                found.ended[name] += 1
                found.last[name] = row["state_type"]
            else:
                found.open.add(name)
        return found

    def _names(self) -> Iterable[UnitName]:
        yield from ((stage, key) for stage in self._asked.stages for key in self._asked.keys)
        if self._asked.backfill.stage == "corpus":
            yield tokenizer_unit(self._asked)

    def _root(self) -> str:
        """The corpus as workers find it, who run in another folder."""
        folder = self._asked.root.folder
        return folder.path() if folder.is_local else folder.url

    def _tags(self, name: UnitName) -> frozenset[str]:
        return frozenset((f"stage:{name[0]}", f"partition:{name[1]}"))

    def _request(self, name: UnitName, number: int) -> dict[str, Any]:
        stage, key = name
        about = self._asked.backfill
        prefix = f"{stage}."
        mine = [one.removeprefix(prefix) for one in about.overrides if one.startswith(prefix)]
        parameters = {
            "root": self._root(),
            "config": about.config or "",
            "stage": stage,
            "source": key.source,
            "partition": key.partition,
            "inputs": about.inputs if stage == "clean" else (),
            "seed_urls": about.seed_urls if stage == "crawl" else (),
            "evaluations": about.evaluations if stage == "decontaminate" else (),
            "overrides": mine if about.stage == "corpus" else list(about.overrides),
            "runner": about.runner,
            "workers": about.workers or 0,
            "seed": -1 if about.seed is None else about.seed,
            "max_attempts": about.max_attempts,
            "retry_seconds": round(about.retry_seconds),
            "backfill": self._id,
        }
        return {
            "name": f"{stage} {key}",
            "parameters": {"parameters": parameters},
            "tags": sorted([f"backfill:{self._id}", *self._tags(name)]),
            "idempotency_key": f"backfill {self._id} {stage} {key} {number}",
            # These were checked here, and the flow checks them again; the server would check the form itself anew for
            # each run, which took a third of its time.
            "enforce_parameter_schema": False,
        }

    def _submit(self, deployment: str, names: Sequence[UnitName], runs: _Runs, report: Submitted) -> None:
        for start in range(0, len(names), _AT_ONCE):
            left = list(names[start : start + _AT_ONCE])
            for number in range(_TRIES):
                left, said = self._submit_some(deployment, left, runs, report)
                if not left:
                    break
                time.sleep(_TRY_SECONDS * 2**number)
            if left:
                raise StageError(f"Prefect made no run for {left[0][0]} of {left[0][1]}: {said[:300]}")

    def _submit_some(
        self, deployment: str, names: Sequence[UnitName], runs: _Runs, report: Submitted
    ) -> tuple[list[UnitName], str]:
        """Make runs in one call; gives the units for which the server made none, and what it said of the last one.

        SQLite locks its whole database for each change, and gives up on some of them while others are made.
        """
        requests = [self._request(name, runs.ended[name]) for name in names]
        answer = self._rest.post(f"/deployments/{deployment}/create_flow_run/bulk", requests)
        left, said = [], ""
        for name, result in zip(names, answer["results"], strict=True):
            if result["status"] != "CREATED":
                left.append(name)
                said = " ".join(str(result["error"]).split())
                continue
            known = result["flow_run_id"] in runs.ids
            report.known += known
            report.made += not known
            runs.ids.add(result["flow_run_id"])
            runs.open.add(name)
        return left, said

    def submit(self) -> Submitted:
        """Make a run for every unit that can begin now, and leave the rest to another call, or to `wait`.

        Raises:
            InputError: the deployment is not there.
            StageError: the server does not answer, or refuses a run.
        """
        plan = make_plan(self._asked)
        report, round_ = Submitted(plan), Round(plan)
        names = round_.ready(len(round_.waiting))
        report.waiting = len(round_.waiting) - len(names)
        if names:
            runs = self._runs()
            report.known = sum(name in runs.open for name in names)
            self._submit(self._deployment(), [name for name in names if name not in runs.open], runs, report)
        return report

    def wait(self, tell: Callable[[str], None]) -> Submitted:
        """Make runs as units can begin, until everything is done that can be.

        Raises:
            InputError: the deployment is not there.
            StageError: the server does not answer, refuses a run, or the backfill was cancelled.
        """
        plan, given_up = make_plan(self._asked), dict[UnitName, str]()
        report = Submitted(plan)
        while any(plan.to_do()):
            self._one_round(Round(plan), given_up, report, tell)
            plan = make_plan(self._asked, frozenset(given_up), plan.view)
        report.plan, report.messages = plan, list(given_up.values())
        return report

    def _one_round(
        self, round_: Round, given_up: dict[UnitName, str], report: Submitted, tell: Callable[[str], None]
    ) -> None:
        deployment, ledger = self._deployment(), Ledger(self._asked.root)
        before = self._runs()
        while True:
            runs = self._runs()
            for name in list(round_.begun):
                if name in runs.open or runs.ended[name] == before.ended[name]:
                    continue
                done = runs.last[name] == "COMPLETED"
                round_.settle(name, done=done)
                if not done:
                    given_up[name] = _said(ledger, name, runs.last[name])
            if ledger.asked_to_stop(self._asked.backfill):
                raise StageError(f"the backfill was cancelled; to go on: {self._asked.command('resume')}")
            names = round_.ready(max(0, self._asked.backfill.max_active - len(round_.begun)))
            if names:
                self._submit(deployment, names, before, report)
            for name in names:
                round_.begin(name)
            if round_.over:
                return
            tell(f"{len(round_.begun)} runs open, {len(round_.waiting)} units wait")
            time.sleep(_LOOK_SECONDS)

    def cancel(self) -> int:
        """Ask every run of the backfill that has not ended to stop; gives how many there were.

        Raises:
            StageError: the server does not answer.
        """
        rows = self._rest.all_of(
            "/flow_runs/filter",
            flow_runs={"tags": {"all_": [f"backfill:{self._id}"]}, "state": {"type": {"any_": _OPEN}}},
            sort="ID_DESC",
        )
        for row in rows:
            self._rest.post(f"/flow_runs/{row['id']}/set_state", {"state": {"type": "CANCELLING"}})
        return len(rows)


def _said(ledger: Ledger, name: UnitName, state: str) -> str:
    failure = ledger.failure(*name)
    cause = failure.cause if failure is not None else f"its run ended {state.lower()}"
    return f"{name[0]} of {name[1]} failed: {cause}"


def server_if_up() -> PrefectRest | None:
    """The server that `corpusmill up` started; None where none is up."""
    home = services_home()
    about = read_services(home)
    return PrefectRest(about.api, auth_string(home), _ANSWER_SECONDS) if about is not None else None


def required_server() -> PrefectRest:
    """The server that `corpusmill up` started.

    Raises:
        InputError: none is up.
    """
    server = server_if_up()
    if server is None:
        raise InputError(
            f"no Prefect server is up in {services_home()}; start one with `corpusmill up`, set {HOME_VARIABLE} to its "
            "home, or give --local to run without one"
        )
    return server
