"""Mirrors the logs of runs as event files, which TensorBoard draws while they train."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from training.loop.run_log import METRICS_NAME

__all__ = ["RunMirror", "RunsMirror", "scalars"]

_VERSION = "brain.Event:2"  # of the format; the first record of every event file
_POLL_SECONDS = 3.0


def scalars(row: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a row as `(tag, value)`; those of a nested table are `name/key`, `step` is none of them."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from scalars(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            yield f"{prefix}{name}", float(value)


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=8).digest()


@dataclass
class RunMirror:
    """One run's log and its event file.

    Attributes:
        log: the run's `metrics.jsonl`.
        folder: where the event file is to be, empty so far.
    """

    log: Path
    folder: Path
    _inode: int = 0
    _offset: int = 0
    _mirrored: list[bytes] = field(default_factory=list)

    def _write(self, *events: Event) -> None:
        target = self.folder / "events.out.tfevents.corpusmill"
        fresh = not target.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as stream:
            writer = RecordWriter(stream)
            for event in [Event(file_version=_VERSION)] * fresh + list(events):
                writer.write(event.SerializeToString())

    def _whole_lines(self, offset: int) -> list[bytes]:
        with self.log.open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        self._offset = offset + sum(map(len, lines))
        return lines

    def follow(self) -> int:
        """Take over what is new; gives how many rows that were.

        A run that goes on after a kill writes its log anew, without the steps after its checkpoint: TensorBoard is told
        to forget these, as it does at the record `START` of a session.
        """
        about = self.log.stat()
        replaced = about.st_ino != self._inode
        if not replaced and about.st_size <= self._offset:
            return 0
        lines = self._whole_lines(0 if replaced else self._offset)
        self._inode = about.st_ino
        events = []
        if replaced and self._mirrored:
            kept = 0
            for line, known in zip(lines, self._mirrored, strict=False):
                if _digest(line) != known:
                    break
                kept += 1
            first = int(json.loads(lines[kept - 1])["step"]) + 1 if kept else 0
            if kept < len(self._mirrored):
                start = SessionLog(status=SessionLog.START)
                events.append(Event(wall_time=about.st_mtime, step=first, session_log=start))
            del self._mirrored[kept:]
            lines = lines[kept:]
        for line in lines:
            row = json.loads(line)
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(row)]
            events.append(Event(wall_time=about.st_mtime, step=row["step"], summary=Summary(value=values)))
            self._mirrored.append(_digest(line))
        self._write(*events)
        return len(lines)


class RunsMirror:
    """All runs below a folder.

    Attributes:
        mirrors: by the run's folder.
    """

    def __init__(self, runs: Path, target: Path) -> None:
        self.mirrors: dict[Path, RunMirror] = {}
        self._runs = runs
        self._target = target
        self._next = 0.0

    def follow(self) -> None:
        """Take over what is new, unless the last look was a moment ago."""
        if time.monotonic() < self._next:
            return
        for log in sorted(self._runs.rglob(METRICS_NAME)):
            run = log.parent.relative_to(self._runs)
            mirror = self.mirrors.setdefault(run, RunMirror(log, self._target / run))
            try:
                mirror.follow()
            except FileNotFoundError:
                continue  # a run that was taken away meanwhile
        self._next = time.monotonic() + _POLL_SECONDS
