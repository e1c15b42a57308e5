"""Every error that corpusmill raises on purpose.

CorpusmillError                 exit code 1: the work failed
├── UserError                   exit code 2: what the user gave is wrong; the message is one line
│   ├── ConfigError             an unknown key, a value out of bounds, settings that contradict each other
│   ├── InputError              an input that is missing or cannot be opened
│   └── OutputError             a place that cannot be written
├── ContractError               stored data breaks its contract; the message names the file
│   ├── ManifestError
│   ├── ShardError
│   └── CheckpointError
└── StageError                  a stage could not finish
    ├── LeaseError              another live run holds the same unit of work
    ├── LossBrakeError          the rules dropped more of a partition than its settings allow
    ├── TooLittleTextError      what was kept is too little for the stage
    ├── DivergedError           the loss of a training run is no number any more
    └── StepFailedError         the command of a flow's step failed

Catch `CorpusmillError` to catch all of them. Messages say what was given, what was expected and what to do.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ContractError",
    "CorpusmillError",
    "DivergedError",
    "InputError",
    "LeaseError",
    "LossBrakeError",
    "ManifestError",
    "OutputError",
    "ShardError",
    "StageError",
    "StepFailedError",
    "TooLittleTextError",
    "UserError",
]


class CorpusmillError(Exception):
    """Base of all errors of this project."""

    exit_code = 1


class UserError(CorpusmillError):
    """What the user gave is wrong; the message is one line that says what to do."""

    exit_code = 2


class ConfigError(UserError):
    """A config key or value is wrong."""


class InputError(UserError):
    """An input is missing or cannot be opened."""


class OutputError(UserError):
    """An output place cannot be written."""


class ContractError(CorpusmillError):
    """Stored data breaks its contract."""


class ManifestError(ContractError):
    """A manifest is unreadable or of an unknown version."""


class ShardError(ContractError):
    """A token shard or its index is damaged or does not fit its manifest."""


class CheckpointError(ContractError):
    """A checkpoint is incomplete, damaged or does not fit the model."""


class StageError(CorpusmillError):
    """A stage could not finish."""


class LeaseError(StageError):
    """Another live run holds the same unit of work."""


class LossBrakeError(StageError):
    """The rules dropped more of a partition than its settings allow; nothing was committed."""


class TooLittleTextError(StageError):
    """What was kept is too little for the stage to give anything."""


class DivergedError(StageError):
    """The loss or the gradient of a training step is not finite; the weights stay as they were."""


class StepFailedError(StageError):
    """The command of a flow's step failed; `kind` is the error that it named, empty where it named none."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind
