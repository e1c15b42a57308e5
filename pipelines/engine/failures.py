"""From the text of a failed pipeline to one of our errors, whatever engine ran it."""

from __future__ import annotations

import re

from schemas import errors

__all__ = ["failure_of"]

# What engines and systems say, and what that means to the person who reads it.
_KNOWN: tuple[tuple[str, type[errors.CorpusmillError], str], ...] = (
    (
        r"No space left on device",
        errors.OutputError,
        "no space is left on the device; free some, then run the same command again: what is done stays done",
    ),
    (
        r"MemoryError\b|malloc of size \d+ failed",  # names of Arrow's and NumPy's end so
        errors.StageError,
        "a worker reached its memory budget; give it more (flink.worker_mb), or find the input that needs as much",
    ),
    (
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        errors.StageError,
        "Flink had too few slots for the job; `corpusmill flink status` shows which task managers are alive",
    ),
    (
        r"FlinkJobNotFoundException|RestClientException|JobSubmissionException|ConnectionClosedException",
        errors.StageError,
        "Flink's JobManager went away, and the job with it; once `corpusmill flink status` says it is up, run the same "
        "command again",
    ),
)


def failure_of(said: str, name: str) -> errors.CorpusmillError:
    """The error behind the text of a failure.

    One of ours that a step raised comes back as it was, with its own class. Worker processes report it as the text of
    a traceback, its last line last, and Beam appends the name of the step.

    Args:
        said: everything that the engine reported.
        name: of the pipeline.
    """
    causes = re.findall(r"^schemas\.errors\.(\w+): (.*?)(?: \[while running '[^\n]*'\])?$", said, re.MULTILINE)
    if causes:
        kind, message = causes[-1]
        return getattr(errors, kind)(message)  # type: ignore[no-any-return]
    for pattern, kind_of_error, meaning in _KNOWN:
        if re.search(pattern, said):
            return kind_of_error(f"{name} failed: {meaning}")
    lines = [line.strip() for line in said.splitlines() if re.search("[a-z]", line) and not line.startswith("\t")]
    return errors.StageError(f"{name} failed: {lines[-1].removeprefix('builtins.') if lines else 'nobody says why'}")
