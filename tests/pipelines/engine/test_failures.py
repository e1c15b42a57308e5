"""What a failed pipeline says in the end."""

from __future__ import annotations

import pytest

from pipelines.engine.failures import failure_of
from schemas.errors import InputError, OutputError, StageError


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "java.lang.RuntimeException: Error received from SDK harness:\nTraceback (most recent call last):\n"
            "  File x\nschemas.errors.InputError: cannot read x: give another [while running 'Clean/Read']\n\tat java",
            InputError,
            "cannot read x: give another",
        ),
        (
            "OSError: [Errno 28] No space left on device",
            OutputError,
            "try failed: no space is left on the device; free some, then run the same command again: what is done "
            "stays done",
        ),
        (
            "pyarrow.lib.ArrowMemoryError: malloc of size 64 failed",
            StageError,
            "try failed: a worker reached its memory budget; give it more (flink.worker_mb), or find the input that "
            "needs as much",
        ),
        (
            "RuntimeError: numpy._core._exceptions._ArrayMemoryError: Unable to allocate 27.1 MiB for an array",
            StageError,
            "try failed: a worker reached its memory budget; give it more (flink.worker_mb), or find the input that "
            "needs as much",
        ),
        (
            "NoResourceAvailableException: Could not acquire the minimum required resources.",
            StageError,
            "try failed: Flink had too few slots for the job; `corpusmill flink status` shows which task managers are "
            "alive",
        ),
        (
            "failed in state FAILED: java.util.concurrent.ExecutionException: o.a.f.RestClientException:"
            " [org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job\n\tat x\n]",
            StageError,
            "try failed: Flink's JobManager went away, and the job with it; once `corpusmill flink status` says it is "
            "up, run the same command again",
        ),
        ("builtins.ValueError: what\n\tat java.lang.Thread", StageError, "try failed: ValueError: what"),
        ("", StageError, "try failed: nobody says why"),
    ],
)
def test_the_cause_is_one_line(said: str, kind: type[Exception], message: str) -> None:
    found = failure_of(said, "try")
    assert type(found) is kind
    assert str(found) == message


def test_an_error_of_ours_wins_over_what_it_mentions() -> None:
    found = failure_of("schemas.errors.OutputError: cannot write x: No space left on device; free some space", "try")
    assert str(found) == "cannot write x: No space left on device; free some space"
