"""Where the model runs and in which precision it multiplies matrices; decided once by the caller, then passed on."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

__all__ = ["has_bf16_instructions", "matrix_precision", "pick_device"]


def pick_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16_instructions(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this processor multiplies bfloat16 matrices itself; emulated, they are slower than float32."""
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b", text, re.MULTILINE) is not None


def matrix_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run.

    Args:
        precision: `fp32`, `bf16`, or `auto` for bf16 where the hardware has it.
        device: where the model is.

    Returns:
        bfloat16 autocast (weights, softmax and loss stay float32), or nothing.
    """
    native = device.type == "cuda" or has_bf16_instructions()
    if precision == "fp32" or (precision == "auto" and not native):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
