"""TensorBoard sees what the log of a run says, also after a run went on from a checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from processes import wait_until
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flows.tensorboard_events import RunMirror, RunsMirror, scalars
from schemas.storage import Folder


def rows(*losses: float, first: int = 1) -> str:
    return "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in enumerate(losses, first))


def drawn(folder: Path, tag: str = "loss") -> list[tuple[int, float]]:
    """What TensorBoard's own reader finds."""
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(one.step, one.value) for one in reader.Scalars(tag)]


def test_numbers_of_a_row_are_scalars() -> None:
    row = {"step": 3, "loss": 2, "by_source": {"web": 1.5}, "note": "x", "bad": True, "none": None}
    assert list(scalars(row)) == [("loss", 2.0), ("by_source/web", 1.5)]


def test_a_growing_log_is_followed(tmp_path: Path) -> None:
    log, folder = tmp_path / "metrics.jsonl", tmp_path / "events"
    mirror = RunMirror(log, folder)
    log.write_text(rows(4.0, 3.5) + '{"step": 3, "lo')
    assert mirror.follow() == 2
    assert mirror.follow() == 0
    with log.open("a") as stream:
        stream.write('ss": 3.0}\n' + rows(2.5, first=4))
    assert mirror.follow() == 2
    assert drawn(folder) == [(1, 4.0), (2, 3.5), (3, 3.0), (4, 2.5)]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_steps_that_a_kill_undid_are_forgotten(tmp_path: Path, kept: int) -> None:
    log, folder = tmp_path / "metrics.jsonl", tmp_path / "events"
    mirror = RunMirror(log, folder)
    before = (4.0, 3.5, 3.0, 2.5)
    log.write_text(rows(*before))
    mirror.follow()
    # As RunLog does: a new file in the place of the old one.
    text = rows(*before[:kept]) + rows(1.5, first=kept + 1)
    Folder(str(tmp_path)).put_whole("metrics.jsonl", text.encode())
    mirror.follow()
    assert drawn(folder) == [*enumerate(before[:kept], 1), (kept + 1, 1.5)]


def test_a_log_that_was_copied_is_not_drawn_twice(tmp_path: Path) -> None:
    log, folder = tmp_path / "metrics.jsonl", tmp_path / "events"
    mirror = RunMirror(log, folder)
    log.write_text(rows(4.0, 3.5))
    mirror.follow()
    Folder(str(tmp_path)).put_whole("metrics.jsonl", rows(4.0, 3.5).encode())
    assert mirror.follow() == 0
    assert drawn(folder) == [(1, 4.0), (2, 3.5)]


def test_runs_that_come_and_go(tmp_path: Path) -> None:
    runs = RunsMirror(tmp_path / "runs", tmp_path / "events")
    runs.follow()  # there is no such folder yet
    (tmp_path / "runs/deep/one").mkdir(parents=True)
    (tmp_path / "runs/deep/one/metrics.jsonl").write_text(rows(1.0))
    runs._next = 0
    runs.follow()
    assert drawn(tmp_path / "events/deep/one") == [(1, 1.0)]
    (tmp_path / "runs/deep/one/metrics.jsonl").unlink()
    runs._next = 0
    runs.follow()


@pytest.mark.slow
def test_the_command_serves_them(tmp_path: Path) -> None:
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/metrics.jsonl").write_text(rows(4.0, 3.5))
    command = [sys.executable, "-m", "flows.cli", "tensorboard", "--runs", str(tmp_path / "runs"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            said = next(line for line in server.stderr if "http://" in line)
            url = said[said.index("http://") :].split()[0]
            asked = f"{url}data/plugin/scalars/scalars?tag=loss&run=one"

            def answer() -> list[list[float]]:
                try:
                    with urllib.request.urlopen(asked, timeout=20) as got:
                        return list(json.loads(got.read()))
                except urllib.error.HTTPError:
                    return []  # it has not read it yet

            assert [one[1:] for one in wait_until(answer, "the curve")] == [[1, 4.0], [2, 3.5]]
            (child,) = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        finally:
            server.terminate()
            server.communicate()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of TensorBoard")
