"""Where the model runs and in which precision it multiplies matrices; decided once by the caller, then passed on."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

from schemas.errors import ConfigError

__all__ = ["has_bf16_instructions", "matrix_precision", "multiplies_in_bf16", "pick_device"]


def pick_device(name: str = "auto", local_rank: int = 0) -> torch.device:
    """The device of this process.

    Args:
        name: `cpu`, `cuda`, `cuda:1` or `auto` for CUDA where there is a device, else the CPU.
        local_rank: which of the processes of this machine this one is; each gets a CUDA device of its own.

    Raises:
        ConfigError: there is no such device.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not there):
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind not in {"auto", "cuda"} or (number and not number.isdigit()):
        raise ConfigError(f"device is {name!r}; give auto, cpu, cuda or cuda:NUMBER")
    index = int(number) if number else local_rank
    if index >= there:
        raise ConfigError(
            f"device {name!r} of local rank {local_rank} is CUDA device {index}, and this machine has {there}; "
            "give device=cpu, or fewer processes"
        )
    return torch.device("cuda", index)


def has_bf16_instructions(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether this processor multiplies bfloat16 matrices itself; emulated, they are slower than float32."""
    try:
        text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b", text, re.MULTILINE) is not None


def multiplies_in_bf16(precision: str, device: torch.device) -> bool:
    """Whether matrix products are taken in bfloat16: `bf16`, or `auto` where the hardware has it."""
    native = device.type == "cuda" or has_bf16_instructions()
    return precision == "bf16" or (precision == "auto" and native)


def matrix_precision(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which forward passes run.

    Args:
        precision: `fp32`, `bf16`, or `auto` for bf16 where the hardware has it.
        device: where the model is.

    Returns:
        bfloat16 autocast (weights, softmax and loss stay float32), or nothing.
    """
    if not multiplies_in_bf16(precision, device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
