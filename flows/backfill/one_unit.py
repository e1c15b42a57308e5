"""One unit of a backfill in this process: claimed, done by a supervised child, tried again where that can help.

What a flow run does; `LocalRun` does the same for many units at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flows.backfill.claims import Claim, Claims
from flows.backfill.ledger import Ledger
from flows.backfill.outcomes import failure_message, judge, remember, retry_wait
from flows.backfill.plan import UnitName
from flows.backfill.requests import Asked
from flows.launch import run_child
from flows.registry import stage_entry
from flows.run_log import current_run_id
from schemas.errors import StageError

__all__ = ["perform_unit"]

_LOOK_SECONDS = 1.0


def perform_unit(asked: Asked, unit: UnitName, run: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Do a unit unless it is done; gives what its stage says of it.

    Args:
        asked: the backfill that it belongs to.
        unit: its stage and its partition.
        run: of Prefect, which the claim names.
        tell: is given lines of progress.

    Raises:
        StageError: it failed, and trying again does not help, or it was tried as often as it may.
        UserError: a setting is wrong, or the corpus cannot be written.
    """
    current_run_id()  # children write to the same log
    claim = _claim(asked, unit, run, tell)
    try:
        return _perform(asked, unit, claim, tell)
    finally:
        claim.release()


def _claim(asked: Asked, unit: UnitName, run: str, tell: Callable[[str], None]) -> Claim:
    claims, told = Claims(asked.root), False
    while True:
        claim = claims.take(*unit, asked.backfill.identity(), run)
        if claim is not None:
            return claim
        if not told:
            tell(f"{unit[0]} of {unit[1]} is being worked on by another process; waiting for it")
        told = True
        time.sleep(_LOOK_SECONDS)


def _perform(asked: Asked, unit: UnitName, claim: Claim, tell: Callable[[str], None]) -> dict[str, Any]:
    stage, key = unit
    if stage != "tokenizer" and stage_entry(stage).is_done(asked.request(stage, key)):
        Ledger(asked.root).forget_failure(stage, key)
        return {"stage": stage, "partition": str(key), "status": "done before"}
    while True:
        argv = asked.argv(stage, None if stage == "tokenizer" else key)
        child = run_child(argv, on_line=tell, on_look=claim.renew)
        outcome = judge(child)
        if outcome.busy:
            time.sleep(_LOOK_SECONDS)
            continue
        failure = remember(asked, unit, outcome)
        if failure is None:
            return {**child.json(), "partition": str(key), "status": "done", "seconds": round(child.seconds, 3)}
        wait = retry_wait(asked, failure)
        if wait is None:
            raise StageError(failure_message(asked, failure))
        tell(f"attempt {failure.attempts} failed: {failure.cause}; again in {wait:g} s")
        time.sleep(wait)
