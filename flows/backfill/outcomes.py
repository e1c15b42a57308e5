"""How a unit ended: done, to be tried again, or failed, and what the ledger keeps of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flows.backfill.ledger import Ledger
from flows.backfill.plan import UnitName
from flows.backfill.requests import Asked
from flows.launch import ChildResult
from schemas.errors import LeaseError, LossBrakeError, ManifestError, ShardError, TooLittleTextError, UserError
from schemas.ledger import Failure

__all__ = ["Outcome", "failure_message", "judge", "remember", "retry_wait"]

# Doing the same once more gives the same.
_HOPELESS = frozenset(kind.__name__ for kind in (LossBrakeError, TooLittleTextError, ManifestError, ShardError))
_LONGEST_WAIT = 600.0


@dataclass(frozen=True)
class Outcome:
    """How the command of a unit ended.

    Attributes:
        done: whether the unit is done now.
        busy: whether somebody else was found at work on it, which is no failure.
        cause: the line that the command ended with.
        error: class of the error, or the signal.
        can_help: whether doing it once more may go well.
    """

    done: bool
    busy: bool = False
    cause: str = ""
    error: str = ""
    can_help: bool = False


def judge(child: ChildResult) -> Outcome:
    """From what the command of a unit left to how the unit ended."""
    if child.exit_code == 0:
        return Outcome(done=True)
    error = f"signal {-child.exit_code}" if child.exit_code < 0 else f"exit code {child.exit_code}"
    error = str(child.json().get("error", error))
    return Outcome(
        done=False,
        busy=error == LeaseError.__name__,
        cause=child.complaint(),
        error=error,
        can_help=child.exit_code != UserError.exit_code and error not in _HOPELESS,
    )


def remember(asked: Asked, unit: UnitName, outcome: Outcome) -> Failure | None:
    """Write down that a unit failed, or forget that it had; gives the failure.

    Raises:
        OutputError: the corpus cannot be written.
    """
    ledger, (stage, key) = Ledger(asked.root), unit
    if outcome.done:
        ledger.forget_failure(stage, key)
        return None
    known, digest = ledger.failure(stage, key), asked.digest(stage)
    attempts = known.attempts if known is not None and known.asked == digest else 0
    failure = Failure(
        stage=stage,
        source=key.source,
        partition=key.partition,
        attempts=attempts + 1,
        cause=outcome.cause,
        error=outcome.error,
        can_help=outcome.can_help,
        failed_at=time.time(),
        backfill=asked.backfill.identity(),
        asked=digest,
    )
    ledger.put_failure(failure)
    return failure


def retry_wait(asked: Asked, failure: Failure) -> float | None:
    """Seconds until a unit that failed is tried again; None where it is not."""
    if not failure.can_help or failure.attempts >= asked.backfill.max_attempts:
        return None
    return float(min(_LONGEST_WAIT, asked.backfill.retry_seconds * 2 ** (failure.attempts - 1)))


def failure_message(asked: Asked, failure: Failure) -> str:
    """What failed, why, and the command that goes on with it."""
    what = f"{failure.stage} of {failure.source}/{failure.partition} failed: {failure.cause.rstrip('.')}."
    if failure.attempts >= asked.backfill.max_attempts:
        return f"{what} It is set aside after {failure.attempts} attempts; to try again: {asked.command('retry')}"
    return f"{what} To go on: {asked.command('resume')}"
