"""What people see of a stage's units."""

from __future__ import annotations

import pytest

from flows.cli.run_command import show_units


def test_counts_and_measured_numbers_are_shown(capsys: pytest.CaptureFixture[str]):
    unit = {
        "source": "quality",
        "partition": "",
        "status": "done",
        "rows": {"classifiers": 1024},
        "seconds": 2.0,
        "counts": {"learned_positives": 1200, "steps": 0},
        "notes": {"held_out_auc": 0.98765, "fingerprint": "abc", "calibration": []},
    }
    show_units("quality", [unit])
    shown = " ".join(capsys.readouterr().out.split())
    assert "learned_positives 1,200" in shown
    assert "held_out_auc 0.98765" in shown
    assert "steps" not in shown
    assert "fingerprint" not in shown
