from __future__ import annotations

import time

import pytest
import torch

from schemas.configs.model import ModelConfig
from training.loop import speed as module
from training.loop.speed import SpeedMeter, peak_flops
from training.planner.flops import flops_per_token
from training.process_group import Ranks

CPU = torch.device("cpu")
TINY = ModelConfig(vocabulary_size=50, context=16, layers=2, heads=2, width=8, band=4)


def test_a_row_says_how_fast_a_step_was(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    meter = SpeedMeter(TINY, Ranks(CPU, size=2), peak=1e6, elapsed=10.0, productive=4.0)
    now[0] += 10.0
    for hundredths in range(101):
        meter.waited(hundredths / 100)
    assert meter.wait_p99() == pytest.approx(0.99)
    row = meter.of_step(tokens=64, seconds=2.0)
    assert (row["seconds"], row["tokens_per_second"], row["elapsed_seconds"]) == (2.0, 32.0, 20.0)
    assert row["data_seconds"] == 1.0
    assert row["goodput"] == pytest.approx(6 / 20)
    assert row["mfu"] == pytest.approx(flops_per_token(TINY, "full") * 32 / 2e6, abs=1e-4)
    assert row["mfu_windowed"] < row["mfu"]
    assert row["memory_bytes"] > 10_000_000


def test_without_a_known_peak_there_is_no_mfu() -> None:
    assert "mfu" not in SpeedMeter(TINY, Ranks(CPU), peak=None).of_step(8, 1.0)


def test_gpus_are_known_by_name_and_by_data_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "multiplies_in_bf16", lambda *_: True)
    for name, expected in (
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("Some new thing", None),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device, name=name: name)
        assert peak_flops.__wrapped__(torch.device("cuda", 0), "auto") == expected


def test_the_peak_of_a_cpu_is_measured() -> None:
    assert 1e8 < (peak_flops(CPU, "fp32") or 0) < 1e14
