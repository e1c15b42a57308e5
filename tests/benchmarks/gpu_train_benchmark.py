"""Training speed on one GPU: GPT-3 125M and 1.3B at 2,048 tokens, bf16, dense and banded; where the time goes.

    python tests/benchmarks/gpu_train_benchmark.py            # ends within eight minutes
    python tests/benchmarks/gpu_train_benchmark.py --dry-run  # the same code at toy sizes, on a CPU

Needs what `training/` needs; where `transformers` is installed, its GPT-2 of the same shape, compiled, stands beside.
A step is a micro-batch as large as fits by the planner's count: forward, loss, backward, clipping, AdamW. Blocks are
compiled, as `compile = true` does. Times are between synchronized points; parts are measured in steps of their own.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import training_peers
from torch import nn

from schemas.configs.model import ModelConfig
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig
from training.hardware import matrix_precision
from training.loop.optimizer import build_optimizer
from training.loop.speed import peak_flops
from training.model.block import Block
from training.model.gpt import GPT
from training.planner.flops import flops_per_token
from training.planner.memory import Layout, peak_memory

VOCABULARY, LIMIT_SECONDS = 50_257, 460.0
WARM_UP, STEPS = 3, 10
TOY: dict[str, Any] = {"context": 32, "layers": 2, "heads": 2, "width": 32, "band": 8}
# Sequences of a micro-batch that are tried, the largest first: of what is left of memory, fragments take a part.
ROWS, SHARE_OF_MEMORY = (64, 48, 32, 24, 16, 12, 8, 4, 2, 1), 0.85


class Watch:
    """Seconds between points at which the device has done all it was asked for."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> float:
        """The time, once everything before is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def seconds(self, action: Callable[[], object]) -> float:
        """Of one action."""
        began = self.now()
        action()
        return self.now() - began


def shapes(dry: bool) -> dict[str, ModelConfig]:
    """What is measured, by name."""
    if dry:
        one = ModelConfig(vocabulary_size=128, **TOY)
        return {"toy dense": one.model_copy(update={"sparse": False}), "toy banded": one}
    found = {}
    for preset in ("gpt3-125m", "gpt3-1.3b"):
        model = ModelConfig(vocabulary_size=VOCABULARY, **PRESETS[preset]["model"])
        found[f"{preset} dense"] = model.model_copy(update={"sparse": False})
        found[f"{preset} banded"] = model
    return found


def fitting_rows(model: ModelConfig, device: torch.device) -> int:
    """The most sequences of a micro-batch that the planner counts as fitting."""
    if device.type != "cuda":
        return 2
    memory = SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory
    sizes = (peak_memory(model, Layout(batch=rows, micro_batch=rows)).total for rows in ROWS)
    return next(rows for rows, size in zip(ROWS, sizes, strict=True) if size < memory or rows == 1)


def breakdown(model: ModelConfig, rows: int, device: torch.device, compiled: bool) -> dict[str, float]:
    """Seconds of the parts of a step, the median of some."""
    watch, settings = Watch(device), TrainConfig(model=model.model_dump(exclude={"vocabulary_size"}))
    gpt = GPT(model).to(device).train()
    for block in gpt.blocks if compiled else ():
        assert isinstance(block, Block)
        block.compile_training()
    optimizer = build_optimizer(gpt, settings)
    tokens = torch.randint(0, model.vocabulary_size, (rows, model.context + 1), device=device)
    parts: dict[str, list[float]] = {"forward and loss": [], "backward": [], "clip": [], "optimizer": []}
    for _ in range(WARM_UP + STEPS // 2):
        loss: list[torch.Tensor] = []

        def forward(kept: list[torch.Tensor] = loss) -> None:
            with matrix_precision("bf16", device):
                kept.append(gpt(tokens[:, :-1], labels_BT=tokens[:, 1:]) / (rows * model.context))

        parts["forward and loss"].append(watch.seconds(forward))
        parts["backward"].append(watch.seconds(loss[0].backward))
        parts["clip"].append(watch.seconds(lambda: nn.utils.clip_grad_norm_(gpt.parameters(), 1.0)))
        parts["optimizer"].append(watch.seconds(optimizer.step))
        optimizer.zero_grad(set_to_none=True)
    return {name: statistics.median(taken[WARM_UP:]) for name, taken in parts.items()}


def step_seconds(step: training_peers.Step, model: ModelConfig, rows: int, device: torch.device) -> float:
    """Median seconds of a whole step."""
    watch, tokens = Watch(device), torch.randint(0, model.vocabulary_size, (rows, model.context + 1), device=device)
    taken = [watch.seconds(lambda: step(tokens)) for _ in range(WARM_UP + STEPS)]
    return statistics.median(taken[WARM_UP:])


def _freed(device: torch.device) -> None:
    gc.collect()
    torch._dynamo.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def measure(who: str, model: ModelConfig, rows: int, device: torch.device, compiled: bool) -> dict[str, Any]:
    """One row: speed, utilization in both conventions, memory."""
    _freed(device)
    step = training_peers.make(who, model, "bf16", device, compiled, True)
    seconds = step_seconds(step, model, rows, device)
    speed, peak = rows * model.context / seconds, peak_flops(device, "bf16")
    share = {kind: None if peak is None else flops_per_token(model, kind) * speed / peak for kind in ("full", "window")}
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    about = {"who": who, "rows": rows, "seconds": seconds, "tokens_per_second": speed, "memory_bytes": memory}
    return {**about, "mfu": share["full"], "mfu_windowed": share["window"]}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="toy sizes, on whatever there is")
    parser.add_argument("--eager", action="store_true", help="without compiled code")
    parser.add_argument("--out", metavar="FILE", help="all numbers as JSON")
    options = parser.parse_args(argv)
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type != "cuda" and not options.dry_run:
        parser.error("no GPU here; --dry-run runs the same code at toy sizes on a CPU")
    compiled, rows_of = not options.eager, dict[str, list[dict[str, Any]]]()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, PyTorch {torch.__version__}, bf16, {'compiled' if compiled else 'eager'}\n")
    print("| shape | | rows | ms a step | tokens/s | MFU, all of T | MFU, what layers see | GiB |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    found: dict[str, Any] = {"device": name, "shapes": rows_of}
    there = importlib.util.find_spec("transformers") is not None
    for shape, model in shapes(options.dry_run).items():
        rows = fitting_rows(model, device)
        rows_of[shape] = []
        for who in ("corpusmill", *(("transformers",) if there and not model.sparse else ())):
            if time.monotonic() - began > LIMIT_SECONDS:
                print(f"| {shape} | {who} | left out: {LIMIT_SECONDS:.0f} s are over |")
                continue
            # All logits of the peer are in memory at once.
            size = rows if who == "corpusmill" else max(1, rows // 2)
            row = measure(who, model, size, device, compiled)
            rows_of[shape].append(row)
            memory = "–" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**30:.1f}"
            cells = [shape, who, size, f"{1e3 * row['seconds']:.1f}", f"{row['tokens_per_second']:,.0f}"]
            cells += [_percent(row["mfu"]), _percent(row["mfu_windowed"]), memory]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        if time.monotonic() - began < LIMIT_SECONDS:
            _freed(device)
            parts = breakdown(model, rows, device, compiled)
            rows_of[shape][0]["parts"] = parts
            total = sum(parts.values())
            told = ", ".join(f"{part} {1e3 * one:.1f} ms ({one / total:.0%})" for part, one in parts.items())
            print(f"\n{shape}: {told}\n", flush=True)
    if options.out:
        Path(options.out).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
