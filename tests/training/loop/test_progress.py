from __future__ import annotations

import pytest

from training.loop import progress
from training.loop.progress import Progress


def test_lines_come_every_few_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress(first_step=100, steps=104, every_seconds=2.0)
    for step in (101, 102, 103, 104):
        now[0] += 1.5
        line.step(step, 3.214, 3.4 if step > 102 else None, 6e-4, 18_450)
    assert capsys.readouterr().err.splitlines() == [
        "step 102/104  loss 3.21  lr 6.0e-04  12.3k tokens/s  eta 0:03",
        "step 104/104  loss 3.21  validation 3.40  lr 6.0e-04  12.3k tokens/s  eta 0:00",
    ]


@pytest.mark.parametrize(("seconds", "text"), [(45.4, "0:45"), (125, "2:05"), (3_725, "1:02:05")])
def test_times_read_as_clocks(seconds: float, text: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress(first_step=0, steps=2, every_seconds=0.1)
    now[0] = seconds
    line.step(1, 1.0, None, 1.0, 1)
    assert capsys.readouterr().err.endswith(f"eta {text}\n")
