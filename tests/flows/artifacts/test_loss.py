"""The loss of a run while it trains: read as it grows, shown at a bounded rate, told when it jumps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.artifacts import loss
from flows.artifacts.loss import LossFollower, MetricsTail, loss_markdown
from training.loop.bad_steps import BadStep, append_bad_step


def row(step: int, value: float = 3.0, validation: float | None = None) -> dict:
    found = {"step": step, "tokens": step * 512, "loss": value, "learning_rate": 6e-4, "seconds": 0.25}
    return found if validation is None else {**found, "validation_loss": validation}


def write(path: Path, rows: list[dict], mode: str = "a") -> None:
    with path.open(mode) as stream:
        stream.write("".join(json.dumps(one) + "\n" for one in rows))


def test_rows_are_read_once_and_whole(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.new_rows() == ([], False)
    write(path, [row(1), row(2)])
    with path.open("a") as stream:
        stream.write('{"step": 3, ')
    assert [one["step"] for one in tail.new_rows()[0]] == [1, 2]
    with path.open("a") as stream:
        stream.write('"loss": 1}\n')
    assert tail.new_rows() == ([{"step": 3, "loss": 1}], False)
    assert tail.new_rows() == ([], False)


def test_a_resumed_run_is_read_from_the_start(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    write(path, [row(step) for step in range(1, 9)])
    tail = MetricsTail(path)
    tail.new_rows()
    write(tmp_path / "new", [row(step) for step in range(1, 6)])
    (tmp_path / "new").replace(path)
    rows, anew = tail.new_rows()
    assert (len(rows), anew) == (5, True)


def bad(step: int, action: str = "report", loss: float | None = 9.0) -> BadStep:
    one = {"document_id": "ab" * 16, "source": "web", "partition": "p1", "url": "https://a.example/x", "tokens": 30}
    finding = "not finite" if loss is None else "a spike: loss 9 is over 4"
    about = {"action": action, "loss": loss, "gradient_norm": 1.0, "windows": "web windows 7", "documents": [one]}
    return BadStep.model_validate({"step": step, "finding": finding, **about})


def test_a_run_is_plotted_with_its_numbers_beside():
    rows = [row(step, 9 - step / 100, 8.5 if step % 100 == 0 else None) for step in range(1, 301)]
    text = loss_markdown("first", rows, [bad(17)])
    assert text.startswith("# first: step 300, loss 6.000\n")
    assert text.count("```mermaid") == 2
    assert text.count("line [") == 2
    (points, _) = [line.count(",") + 1 for line in text.splitlines() if line.startswith("  line [")]
    assert points == 120
    assert "A point is the mean of up to 3 steps." in text
    assert "| 300 | 6.000 | 8.500 | 6.00e-04 | 154k |" in text
    assert "- step 17: a spike: loss 9 is over 4; it was trained on. In its batch: web/p1 https://a.example/x" in text


def test_one_step_is_no_line_yet():
    text = loss_markdown("first", [row(1)], [])
    assert "mermaid" not in text
    assert "| 1 | 3.000 | – |" in text


class Shown:
    """What would be published, and a clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.texts, self.events = 0.0, [], []
        monkeypatch.setattr(loss, "in_a_run", lambda: True)
        monkeypatch.setattr(loss, "publish_markdown", lambda key, text, said: self.texts.append((key, said)) or 1)
        monkeypatch.setattr(loss, "send_update", lambda artifact, text, said: self.texts.append((artifact, said)))
        monkeypatch.setattr(loss, "tell_event", lambda *event: self.events.append(event))

    def clock(self) -> float:
        return self.now


def test_a_plot_is_kept_up_to_date_at_a_bounded_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown = Shown(monkeypatch)
    follower = LossFollower(str(tmp_path / "run-1"), shown.clock)
    follower.look()
    (tmp_path / "run-1").mkdir()
    for step in range(1, 401):  # a step every quarter of a second, looked at ten times
        write(tmp_path / "run-1" / "metrics.jsonl", [row(step)])
        for _ in range(10):
            shown.now += 0.025
            follower.look()
    assert shown.texts.pop(0) == ("loss-run-1", f"{tmp_path}/run-1: no step yet")
    assert len(shown.texts) == 10
    assert {artifact for artifact, _ in shown.texts} == {1}
    follower.finish()
    assert shown.texts[-1] == (1, f"{tmp_path}/run-1: step 400, loss 3.000")


def test_bad_steps_become_events_once_and_those_of_an_earlier_try_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown = Shown(monkeypatch)
    write(tmp_path / "metrics.jsonl", [row(step) for step in range(1, 41)])
    append_bad_step(str(tmp_path), bad(30))
    follower = LossFollower(str(tmp_path), shown.clock)

    def events() -> list[tuple[int, str]]:
        shown.now += 60
        follower.look()
        return [(payload["step"], payload["action"]) for *_, payload in shown.events]

    assert events() == []
    append_bad_step(str(tmp_path), bad(42, "rollback", None))
    append_bad_step(str(tmp_path), bad(30))  # a resumed run comes to the same again
    assert events() == [(42, "rollback")]
    append_bad_step(str(tmp_path), bad(50))
    append_bad_step(str(tmp_path), bad(51))
    assert events() == [(42, "rollback"), (50, "report")]
    event, resource, name, payload = shown.events[0]
    assert (event, resource, name) == ("corpusmill.loss-spike", f"corpusmill.run.{tmp_path}", tmp_path.name)
    assert payload["message"] == (
        "step 42: not finite; the run went back to its last checkpoint and leaves these samples out. "
        "In its batch: web/p1 https://a.example/x"
    )
    assert [one["document_id"] for one in payload["documents"]] == ["ab" * 16]
    assert (payload["run"], payload["loss"]) == (str(tmp_path), None)


def test_outside_of_a_run_nothing_is_published(tmp_path: Path):
    write(tmp_path / "metrics.jsonl", [row(1), row(2)])
    follower = LossFollower(str(tmp_path))
    follower.look()
    follower.finish()
