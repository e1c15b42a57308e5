from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch

from training import hardware
from training.hardware import has_bf16_instructions, matrix_precision, pick_device
from training.launch import launch_environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu sse2 avx512f avx512_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 sve\n", True),
        ("flags\t\t: fpu sse2 avx512f\nmodel name : bf16 lover\n", False),
    ],
)
def test_bf16_is_read_from_the_processor_flags(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bf16_instructions(str(tmp_path / "cpuinfo")) is expected


def test_without_processor_flags_there_is_no_bf16(tmp_path: Path) -> None:
    assert not has_bf16_instructions(str(tmp_path / "missing"))


def test_auto_multiplies_in_bf16_only_where_the_processor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for native, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(hardware, "has_bf16_instructions", lambda native=native: native)
        with matrix_precision("auto", cpu):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected
    assert isinstance(matrix_precision("fp32", cpu), contextlib.nullcontext)
    with matrix_precision("bf16", cpu):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_there_is_always_a_device() -> None:
    assert pick_device().type in {"cpu", "cuda"}


def test_launch_variables_are_strings_for_a_child_process() -> None:
    assert launch_environment() == {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "68719476736",
        "GOMP_SPINCOUNT": "10000",
    }
