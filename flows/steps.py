"""A step of a flow: one supervised child process, unless it is done already.

Events of a step go through the logger `flows.steps`, from where the terminal, the run's log and Prefect take them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.launch import COMPLAINT, run_child
from flows.receipts import Receipt, read_receipt, write_receipt
from flows.run_log import current_run_id
from schemas.corpus_root import CorpusRoot
from schemas.errors import StepFailedError, TooLittleTextError, UserError

__all__ = ["LOGGER", "Step", "StepResult", "Surroundings", "leave_out", "nothing_around", "perform"]

LOGGER = logging.getLogger("flows.steps")


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How a step ended; `reason` says why it was left out."""

    step: str
    status: Literal["done", "done before", "left out"]
    result: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0


Surroundings = Callable[[], AbstractContextManager[tuple[str, ...]]]


def _nothing() -> None:
    """Takes no notice."""


def nothing_around() -> AbstractContextManager[tuple[str, ...]]:
    """The surroundings of a step that needs none."""
    return nullcontext(())


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done.

    Attributes:
        name: of the step, unique in a flow.
        root: the corpus, where the receipt is kept.
        argv: the command line; it prints one JSON object as its last line.
        env: environment variables beside our own.
        done: gives the result where nothing is to be done, else None. It must be cheap.
        fingerprint: what `done` compares, kept in the receipt.
        outputs: folders and files that the step leaves.
        surroundings: what has to be there while the command runs; gives further arguments.
        may_be_left_out: whether too little text is a reason to leave the step out; else it is an error.
        grace_seconds: how long it may take to stop when asked to.
        partition: `source/partition` that the step works on; empty where it works on the whole corpus.
        resume: the command that does the step, for people.
        on_look: is called a few times a second while the command runs.
    """

    name: str
    root: CorpusRoot
    argv: tuple[str, ...]
    done: Callable[[Receipt | None], dict[str, Any] | None]
    env: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    outputs: tuple[str, ...] = ()
    surroundings: Surroundings = nothing_around
    may_be_left_out: bool = False
    grace_seconds: float = 5.0
    partition: str = ""
    resume: str = ""
    on_look: Callable[[], None] = _nothing

    @property
    def title(self) -> str:
        """The step and its partition, as messages name them."""
        return f"{self.name} of {self.partition}" if self.partition else self.name


def _say(event: str, step: str, message: str, **about: Any) -> None:
    LOGGER.info(message, extra={"event": event, "step": step, **about})


def _pass_on(step: str, line: str) -> None:
    if not line.startswith(COMPLAINT):  # told when the step has ended
        _say("line", step, line)


def _message(step: Step, verb: str, cause: str) -> str:
    """What failed, why, and the command that goes on."""
    cause = cause.removeprefix(f"{step.partition}: ")
    return f"{step.title}{verb}: {cause}" + (f"; to go on: {step.resume}" if step.resume else "")


def _end(result: StepResult) -> StepResult:
    message = f"{result.step}: {result.status}" + (f", {result.reason}" if result.reason else "")
    _say("end", result.step, message, outcome=result)
    return result


def leave_out(step: str, reason: str) -> StepResult:
    """Say that a step is not done, and why."""
    return _end(StepResult(step=step, status="left out", reason=reason))


def _known(step: Step, receipt: Receipt | None) -> dict[str, Any] | None:
    try:
        return step.done(receipt)
    except UserError as error:
        raise type(error)(_message(step, "", str(error))) from error


def perform(step: Step) -> StepResult:
    """Do a step unless it is done.

    Raises:
        UserError: the command found that what the user gave is wrong.
        StepFailedError: it failed.
    """
    receipt = read_receipt(step.root, step.name)
    known = _known(step, receipt)
    if known is not None:
        seconds, memory = (receipt.seconds, receipt.peak_memory_bytes) if receipt else (0.0, 0)
        before = StepResult(
            step=step.name, status="done before", result=known, seconds=seconds, peak_memory_bytes=memory
        )
        return _end(before)
    _say("begin", step.name, f"{step.name}: begun")
    current_run_id()  # children inherit it
    with step.surroundings() as further:
        child = run_child(
            [*step.argv, *further],
            env={**step.env, **os.environ},
            on_line=lambda line: _pass_on(step.name, line),
            on_look=step.on_look,
            grace_seconds=step.grace_seconds,
        )
    if child.exit_code == UserError.exit_code:
        raise UserError(_message(step, "", child.complaint()))
    kind = str(child.json().get("error", ""))
    if step.may_be_left_out and kind == TooLittleTextError.__name__:
        return leave_out(step.name, child.complaint())
    if child.exit_code != 0:
        raise StepFailedError(_message(step, " failed", child.complaint()), kind=kind)
    done = Receipt(
        step=step.name,
        fingerprint=step.fingerprint,
        result=child.json(),
        outputs=step.outputs,
        seconds=round(child.seconds, 3),
        peak_memory_bytes=child.peak_memory_bytes,
    )
    write_receipt(step.root, done)
    return _end(
        StepResult(
            step=step.name,
            status="done",
            result=done.result,
            seconds=done.seconds,
            peak_memory_bytes=done.peak_memory_bytes,
        )
    )
