"""`make bench-planner`: what the plan says of three shapes on this machine, beside real training steps.

Each shape has a process of its own, started as training is, with one thread, and time is processor time, so that what
else runs on the machine changes little. The plan is made before the model is built, as in a run; then the model takes
real optimizer steps on random tokens. Memory is what is resident at the fullest moment, less what was before, in a
process with the C library's own way of giving memory back: the launcher's way keeps freed blocks for the next step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "4 x 256": {"context": 256, "layers": 4, "heads": 4, "width": 256, "band": 64, "batch": 16},
    "6 x 384": {"context": 256, "layers": 6, "heads": 6, "width": 384, "band": 64, "batch": 8},
    "12 x 768": {"context": 1024, "layers": 12, "heads": 12, "width": 768, "band": 256, "batch": 1},
}
VOCABULARY, STEPS, WARM_UP = 50_257, 4, 1


def measure(name: str, precision: str, what: str) -> dict[str, float]:
    """Plan one shape, then train it."""
    import torch

    from schemas.configs.model import ModelConfig
    from schemas.configs.train import TrainConfig
    from training.loop.optimizer import build_optimizer
    from training.loop.step import MicroBatch, train_step
    from training.model.gpt import GPT
    from training.planner.machine import measure_step
    from training.planner.run_check import forget_peak, predicted_memory, resident_bytes

    torch.set_num_threads(1)
    shape = dict(SHAPES[name])
    batch = shape.pop("batch")
    model = ModelConfig(vocabulary_size=VOCABULARY, **shape)
    settings = TrainConfig(model=shape, batch=batch, precision=precision, validation_windows=1)
    cpu = torch.device("cpu")
    forget_peak()
    before = resident_bytes("VmRSS")
    planned = measure_step(model, settings, cpu, time.process_time).tokens_per_second if what == "speed" else 0.0
    gpt = GPT(model).train()
    optimizer = build_optimizer(gpt, settings)
    draw, taken = torch.Generator().manual_seed(0), []
    for step in range(STEPS):
        tokens = torch.randint(0, VOCABULARY, (batch, model.context + 1), generator=draw)
        began = time.process_time()
        parts = [MicroBatch(tokens[:, :-1], tokens[:, 1:])]
        train_step(gpt, optimizer, parts, gradient_clip=1.0, precision=precision, seed=0, step=step)
        taken.append(time.process_time() - began)
    if what == "memory":
        held = resident_bytes("VmHWM") - before
        return {"planned": predicted_memory(model, settings, cpu) / 1e6, "measured": held / 1e6}
    return {"planned": planned, "measured": batch * model.context / statistics.median(taken[WARM_UP:])}


def child(name: str, precision: str, what: str) -> dict[str, float]:
    """`measure` in a process of its own, for speed with the environment that training is started with."""
    from training.launch import launch_environment

    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), **os.environ}
    if what == "speed":
        environment |= launch_environment()
    command = [sys.executable, __file__, "--only", name, "--what", what, "--precision", precision]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="SHAPE", help="one shape, in this process, as JSON")
    parser.add_argument("--what", choices=("speed", "memory"), default="speed")
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), metavar="SHAPE")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.precision, arguments.what)))
        return 0
    print("| shape | planned tokens/s | measured | error | planned MB | measured | error |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.shapes:
        cells = []
        for what in ("speed", "memory"):
            row = child(name, arguments.precision, what)
            error = row["planned"] / row["measured"] - 1
            cells += [f"{row['planned']:,.0f}", f"{row['measured']:,.0f}", f"{error:+.1%}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
