"""A training run that kills itself with SIGKILL at a chosen moment: for `train --verify-resume` and for proofs.

`python -m training.killed_run MOMENT STEP train …`; MOMENT is `step`, in the middle of that step and with no checkpoint
still being written, or `save`, with half of that step's checkpoint written.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from schemas.run import checkpoint_folder
from training.checkpoints import saver
from training.cli import main
from training.loop import learner
from training.process_group import Ranks

__all__ = ["MOMENTS", "kill_at"]

MOMENTS = ("step", "save")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(moment: str, step: int) -> None:
    """Have this process kill itself at a moment of what it does from now on."""
    train_step, write_tensors = vars(learner)["train_step"], vars(saver)["write_tensors"]
    savers: list[saver.CheckpointSaver] = []

    class WatchedSaver(saver.CheckpointSaver):
        def save(self, *given: Any, **named: Any) -> None:
            savers[:] = [self]
            super().save(*given, **named)

    def die_in_step(_loss: float, _norm: float) -> None:
        for one in savers:
            one.wait()
        _die()

    def deadly_step(*given: Any, **named: Any) -> Any:
        if named["step"] == step:
            named["judge"] = die_in_step
        return train_step(*given, **named)

    def deadly_write(folder: Path, tensors: Any, ranks: Ranks) -> None:
        write_tensors(folder, tensors, ranks)
        if checkpoint_folder("", step).name in folder.parent.name:
            _die()

    if moment == "step":
        vars(learner).update(train_step=deadly_step, CheckpointSaver=WatchedSaver)
    else:
        vars(saver)["write_tensors"] = deadly_write


if __name__ == "__main__":
    kill_at(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
