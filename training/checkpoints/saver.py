"""Saving checkpoints, also while training goes on: copied in memory first, then written by a thread.

Of many ranks each writes its part; the first one begins the folder and, once all parts are there, renames it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from schemas.errors import OutputError
from schemas.run import checkpoint_folder, checkpoint_steps
from training.checkpoints.files import (
    MODEL_FOLDER,
    OPTIMIZER_FOLDER,
    STATE_NAME,
    CheckpointState,
    checksum,
    optimizer_tensors,
)
from training.checkpoints.shards import staged, sync, write_tensors
from training.process_group import Ranks

__all__ = ["CheckpointSaver", "save"]

T = TypeVar("T")
Parts = dict[str, dict[str, Tensor]]


class CheckpointSaver:
    """Saves the checkpoints of one run.

    Args:
        run: its folder.
        ranks: that save together.
        keep: newest checkpoints that stay.
        keep_every: those of multiples of so many steps stay as well; 0 for none.
        meanwhile: write in a thread; `save` then returns once all is copied.
    """

    def __init__(self, run: str, ranks: Ranks, *, keep: int = 2, keep_every: int = 0, meanwhile: bool = False) -> None:
        self._run, self._ranks = run, ranks
        self._keep, self._keep_every = keep, keep_every
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if meanwhile else None
        self._pending: Future[Path] | None = None

    def save(self, state: CheckpointState, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Save the checkpoint of `state.step`, then remove those that are not kept.

        Raises:
            OutputError: it, or the one before it, cannot be written.
        """
        self.wait()
        parts: Parts = {MODEL_FOLDER: dict(model.state_dict())}
        if optimizer is not None:
            parts[OPTIMIZER_FOLDER] = optimizer_tensors(model, optimizer)
        copies = {name: staged(tensors) for name, tensors in parts.items()}
        if self._pool is None:
            self._write(state, copies)
        else:
            self._pending = self._pool.submit(self._write, state, copies)

    def wait(self) -> None:
        """Wait for the checkpoint that is being written.

        Raises:
            OutputError: it cannot be written.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """End the thread, without a word about what it was writing."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _together(self, final: Path, work: Callable[[], T]) -> T:
        """What `work` gives; a rank's failure is that of all, so that none waits for it."""
        found, fault = None, None
        try:
            found = work()
        except OSError as error:
            fault = error
        texts = [text for text in self._ranks.everyone(str(fault) if fault else "") if text]
        if texts:
            raise OutputError(f"cannot write checkpoint {final}: {texts[0]}; free some space and run again") from fault
        return cast("T", found)

    def _write(self, state: CheckpointState, parts: Parts) -> Path:
        final = checkpoint_folder(self._run, state.step)
        temporary = final.parent / f".{final.name}.tmp"
        main = self._ranks.is_main
        self._together(final, lambda: _begin(temporary, parts) if main else None)
        for name, tensors in parts.items():
            self._together(final, partial(write_tensors, temporary / name, tensors, self._ranks))
        sums = self._together(final, lambda: self._checksums(temporary))
        whole = state.model_copy(
            update={"files": {k: v for some in self._ranks.everyone(sums) for k, v in some.items()}}
        )
        self._together(final, lambda: self._commit(whole, temporary, final) if main else None)
        return final

    def _checksums(self, temporary: Path) -> dict[str, str]:
        """Of this rank's share of the files, as they are read from disk again."""
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        return {path.relative_to(temporary).as_posix(): checksum(path) for path in self._ranks.mine(files)}

    def _commit(self, state: CheckpointState, temporary: Path, final: Path) -> None:
        (temporary / STATE_NAME).write_text(state.model_dump_json(indent=1), encoding="utf-8")
        for path in (temporary / STATE_NAME, *(path for path in temporary.iterdir() if path.is_dir()), temporary):
            sync(path)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        sync(final.parent)
        for step in checkpoint_steps(self._run)[: -self._keep]:
            if not (self._keep_every and step % self._keep_every == 0):
                shutil.rmtree(checkpoint_folder(self._run, step))


def _begin(temporary: Path, parts: Parts) -> None:
    """An empty folder for each part; what killed runs left behind goes."""
    for leftover in temporary.parent.glob(".step-*.tmp"):
        shutil.rmtree(leftover)
    for name in parts:
        (temporary / name).mkdir(parents=True)


def save(
    run: str, state: CheckpointState, model: nn.Module, optimizer: torch.optim.Optimizer | None = None, keep: int = 2
) -> Path:
    """Write the checkpoint of `state.step` of a run of one process, then remove all but the newest `keep`.

    Returns:
        The checkpoint's folder.

    Raises:
        OutputError: it cannot be written.
    """
    CheckpointSaver(run, Ranks(torch.device("cpu")), keep=keep).save(state, model, optimizer)
    return checkpoint_folder(run, state.step)
