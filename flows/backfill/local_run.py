"""A backfill on this machine, without a server: so many units at once, each a supervised process.

Whatever happens to this process, its units end with it, and the next run takes over its claims. Two runs at once share
the work: a unit that another one holds is left to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from flows.backfill.claims import Claim, Claims
from flows.backfill.ledger import Ledger
from flows.backfill.outcomes import Outcome, failure_message, judge, remember, retry_wait
from flows.backfill.plan import Plan, UnitName, make_plan
from flows.backfill.requests import Asked
from flows.backfill.round import Round
from flows.launch import ChildResult, start_supervised, stop_group
from flows.process_marks import kill_marked, marked_environment
from flows.registry import stage_entry
from flows.run_log import current_run_id
from schemas.errors import StageError

__all__ = ["LocalRun", "Report"]

_LOOK_SECONDS = 0.05
_STOP_SECONDS = 5.0
_CANCEL_SECONDS = 1.0
_HELD_SECONDS = 1.0
_TAIL_LINES = 50
# A unit that is stale again after so many times depends on something that changes all the time.
_MOST_TIMES = 3


@dataclass
class _Task:
    """A unit at work in a child process."""

    name: UnitName
    claim: Claim
    process: subprocess.Popen[bytes]
    mark: str
    out: IO[bytes]
    err: IO[bytes]

    def close(self) -> None:
        """Let go of what it has written."""
        self.out.close()
        self.err.close()

    def ended(self) -> ChildResult:
        """How it ended; what it took is in the manifest."""
        lines = []
        for stream in (self.out, self.err):
            stream.seek(0)
            lines.append([line for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()])
        self.close()
        return ChildResult(
            exit_code=self.process.returncode,
            seconds=0.0,
            peak_memory_bytes=0,
            last_line=lines[0][-1] if lines[0] else "",
            errors=tuple(lines[1][-_TAIL_LINES:]),
        )


@dataclass
class Report:
    """What a run did: units done by it, and messages about units that failed; the plan as it stands at its end."""

    plan: Plan
    done: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)


class LocalRun:
    """One run of a backfill.

    Args:
        asked: the backfill.
        tell: is given a line whenever something has changed.
    """

    def __init__(self, asked: Asked, tell: Callable[[str], None]) -> None:
        self._asked, self._tell = asked, tell
        self._claims, self._ledger = Claims(asked.root), Ledger(asked.root)
        self._tasks: list[_Task] = []
        self._given_up: dict[UnitName, str] = {}
        self._times: Counter[UnitName] = Counter()
        self._not_before: dict[UnitName, float] = {}
        self._done: Counter[str] = Counter()
        self._next_look_for_stop = 0.0

    def run(self) -> Report:
        """Do everything that can be done.

        Raises:
            StageError: it was asked to stop.
            UserError: a setting is wrong, or the corpus cannot be written.
        """
        current_run_id()  # children write to the same log
        try:
            plan = make_plan(self._asked)
            while any(plan.to_do()):
                self._work_through(Round(plan))
                plan = make_plan(self._asked, frozenset(self._given_up), plan.view)
        finally:
            self._stop()
        return Report(plan, self._done, list(self._given_up.values()))

    def _work_through(self, round_: Round) -> None:
        while not round_.over:
            self._heed_cancel()
            self._begin(round_)
            self._end(round_)
            for task in self._tasks:
                task.claim.renew()
            if not round_.over:
                time.sleep(_LOOK_SECONDS)

    def _begin(self, round_: Round) -> None:
        """Begin as many units as may run; one that somebody else holds is asked about again after a moment."""
        free = self._asked.backfill.max_active - len(self._tasks)
        if free <= 0:
            return
        now = time.monotonic()
        for name in round_.ready(free + len(self._not_before)):
            if free <= 0 or self._not_before.get(name, 0.0) > now:
                continue
            claim = self._claims.take(*name, self._asked.backfill.identity())
            if claim is None:
                self._not_before[name] = now + _HELD_SECONDS
                continue
            self._not_before.pop(name, None)
            round_.begin(name)
            try:
                self._start(name, claim, round_)
            except BaseException:
                claim.release()
                raise
            free -= 1

    def _start(self, name: UnitName, claim: Claim, round_: Round) -> None:
        stage, key = name
        settled = self._settled_elsewhere(name)
        if settled is not None:
            self._times[name] += 1
            if settled and self._times[name] >= _MOST_TIMES:
                self._given_up[name] = f"{name[0]} of {name[1]} is done and seems not to be: plan it alone to see why"
            claim.release()
            round_.settle(name, done=settled)
            return
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115  # open until the child ends
        argv = self._asked.argv(stage, None if stage == "tokenizer" else key)
        environment, mark = marked_environment(os.environ)
        process = start_supervised(argv, stdout=out, stderr=err, env=environment)
        self._tasks.append(_Task(name, claim, process, mark, out, err))
        self._say()

    def _settled_elsewhere(self, name: UnitName) -> bool | None:
        """How somebody else has ended it since the plan was made: done, or set aside; None where nobody has."""
        stage, key = name
        failure, most = self._ledger.failure(stage, key), self._asked.backfill.max_attempts
        if failure is not None and failure.asked == self._asked.digest(stage) and failure.attempts >= most:
            self._given_up[name] = failure_message(self._asked, failure)
            return False
        if stage != "tokenizer" and stage_entry(stage).is_done(self._asked.request(stage, key)):
            return True
        return None

    def _end(self, round_: Round) -> None:
        for task in list(self._tasks):
            if task.process.poll() is None:
                continue
            self._tasks.remove(task)
            kill_marked(task.mark)  # what it has left behind, where its supervisor was killed
            outcome = judge(task.ended())
            try:
                self._settle(task.name, outcome, round_)
            finally:
                task.claim.release()
            self._say()

    def _settle(self, name: UnitName, outcome: Outcome, round_: Round) -> None:
        if outcome.busy:
            self._not_before[name] = time.monotonic() + _HELD_SECONDS
            round_.wait_again(name)
            return
        failure = remember(self._asked, name, outcome)
        if failure is None:
            self._done[name[0]] += 1
            self._times[name] += 1
            round_.settle(name, done=True)
            if self._times[name] >= _MOST_TIMES:
                self._given_up[name] = f"{name[0]} of {name[1]} was done {_MOST_TIMES} times: what it reads changes"
            return
        wait = retry_wait(self._asked, failure)
        if wait is not None:
            self._not_before[name] = time.monotonic() + wait
            round_.wait_again(name)
            return
        self._given_up[name] = failure_message(self._asked, failure)
        round_.settle(name, done=False)

    def _heed_cancel(self) -> None:
        """Stop where somebody asks for it.

        Raises:
            StageError: somebody does.
        """
        now = time.monotonic()
        if now < self._next_look_for_stop:
            return
        self._next_look_for_stop = now + _CANCEL_SECONDS
        if self._ledger.asked_to_stop(self._asked.backfill):
            raise StageError(f"the backfill was cancelled; to go on: {self._asked.command('resume')}")

    def _say(self) -> None:
        at_work = ", ".join(f"{stage} {key.partition}" for stage, key in (task.name for task in self._tasks))
        done, failed = self._done.total(), len(self._given_up)
        self._tell(f"{done} done" + (f", {failed} failed" if failed else "") + (f"; {at_work}" if at_work else ""))

    def _stop(self) -> None:
        """End what is at work, and give back its claims."""
        for task in self._tasks:
            stop_group(task.process, signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        for task in self._tasks:
            with suppress(subprocess.TimeoutExpired):
                task.process.wait(max(0.0, until - time.monotonic()))
            stop_group(task.process)
            task.process.wait()
            kill_marked(task.mark)
            task.close()
            task.claim.release()
        self._tasks = []
