"""Which failures are tried again: those that may pass, and none that the user or the data would repeat."""

from __future__ import annotations

import pytest

from flows.tasks import may_pass
from schemas.errors import ConfigError, LossBrakeError, StageError, StepFailedError


@pytest.mark.parametrize("kind", ["", "StageError", "LeaseError", "SomethingElse"])
def test_what_may_pass_is_tried_again(kind: str):
    assert may_pass(StepFailedError("clean failed: ended by signal 9", kind=kind))


@pytest.mark.parametrize(
    "kind",
    [
        "LossBrakeError",
        "TooLittleTextError",
        "DivergedError",
        "ManifestError",
        "ShardError",
        "ConfigError",
        "UserError",
    ],
)
def test_what_would_fail_in_the_same_way_is_not(kind: str):
    assert not may_pass(StepFailedError("clean failed", kind=kind))


@pytest.mark.parametrize("error", [ConfigError("x"), StageError("x"), LossBrakeError("x"), KeyError("x"), None])
def test_other_errors_are_not(error: Exception | None):
    assert not may_pass(error)
