"""`make bench-train`: optimizer steps of our trainer on this CPU, beside nanoGPT's way and `transformers`' GPT-2.

Same shape, same threads, same random tokens, dense attention; every contestant in a process of its own, all those of a
group taking turns: a few seconds of steps each, round after round, the best round counts. "As it ships": peers with
the C library's own way of giving memory back and the optimizer that their code chooses on a CPU; "equal": all with our
launcher's environment and fused AdamW. The ceiling is what this CPU's matrix products would allow, from products of
1,024 × 1,024.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# (vocabulary, sequences a step, shape)
SHAPES: dict[str, tuple[int, int, dict[str, int]]] = {
    "tiny": (128, 2, {"context": 32, "layers": 1, "heads": 2, "width": 32}),
    "4M": (4096, 16, {"context": 256, "layers": 4, "heads": 4, "width": 256}),
    "11M": (1024, 16, {"context": 256, "layers": 6, "heads": 6, "width": 384}),
    "124M": (50_257, 2, {"context": 1024, "layers": 12, "heads": 12, "width": 768}),
}
PEERS = ("nanoGPT's way", "transformers")
TARGETS = {"4M": 1.5, "11M": 1.5, "124M": 1.2}


@dataclass(frozen=True)
class Contestant:
    """A process to be: who, how compiled, and whether set equal with ours."""

    name: str
    compiled: bool
    equal: bool

    @property
    def how(self) -> str:
        """As the table says it."""
        settings = "as it ships" if self.name == "corpusmill" or not self.equal else "equal"
        return f"{'compiled' if self.compiled else 'eager'}, {settings}"


def contestants(modes: list[str], peers: list[str]) -> list[Contestant]:
    """Everybody: ours ships with what "equal" gives the others."""
    found = []
    for compiled in (mode == "compiled" for mode in modes):
        found.append(Contestant("corpusmill", compiled, True))
        found += [Contestant(name, compiled, equal) for name in peers for equal in (False, True)]
    return found


class Process:
    """A contestant that waits for its turn."""

    def __init__(self, one: Contestant, shape: str, precision: str, threads: int, clock: str) -> None:
        from training.launch import launch_environment

        surroundings = {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests/support'}"}
        surroundings |= launch_environment() if one.equal else {}
        surroundings["OMP_NUM_THREADS"] = str(threads)
        about = {"name": one.name, "compiled": one.compiled, "equal": one.equal, "shape": shape, "clock": clock}
        words = json.dumps({**about, "precision": precision, "threads": threads})
        self.one, self.speeds = one, list[float]()
        self._child = subprocess.Popen(
            [sys.executable, __file__, "--child", words],
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Process:
        self.peak = float(self._line()["peak"])
        return self

    def _line(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.one.name}, {self.one.how}, ended with {self._child.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def turn(self, seconds: float) -> None:
        """Take steps for some seconds."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{seconds}\n")
        self._child.stdin.flush()
        self.speeds.append(float(self._line()["tokens_per_second"]))

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()


def child(about: dict[str, Any]) -> None:
    """Be a contestant: say the peak, then take steps whenever a line comes."""
    import torch
    import training_peers

    from schemas.configs.model import ModelConfig
    from training.loop.speed import peak_flops

    torch.set_num_threads(about["threads"])
    vocabulary, batch, shape = SHAPES[about["shape"]]
    model = ModelConfig(vocabulary_size=vocabulary, sparse=False, **shape)
    cpu = torch.device("cpu")
    step = training_peers.make(about["name"], model, about["precision"], cpu, about["compiled"], about["equal"])
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, vocabulary, (batch, model.context + 1), generator=draw)
    first = step(tokens)
    if abs(first - training_peers.first_loss(model)) > 0.5:
        raise SystemExit(f"{about['name']} begins with a loss of {first}")
    step(tokens)
    print(json.dumps({"peak": peak_flops(cpu, about["precision"])}), flush=True)
    clock = getattr(time, about["clock"])
    for line in sys.stdin:
        taken: list[float] = []
        while sum(taken) < float(line) or len(taken) < 2:
            began = clock()
            step(tokens)
            taken.append(clock() - began)
        print(json.dumps({"tokens_per_second": batch * model.context / statistics.median(taken)}), flush=True)


def measure(shape: str, precision: str, options: argparse.Namespace) -> dict[Contestant, tuple[float, float]]:
    """Tokens a second and share of the ceiling of each contestant in its best round."""
    from schemas.configs.model import ModelConfig
    from training.planner.flops import flops_per_token

    vocabulary, _, sizes = SHAPES[shape]
    flops = flops_per_token(ModelConfig(vocabulary_size=vocabulary, sparse=False, **sizes), "full")
    everybody = contestants(options.modes, options.peers)
    size = options.together or (2 if shape == "124M" else len(everybody))
    best: dict[Contestant, float] = {}
    peaks: list[float] = []
    for _ in range(1 if size >= len(everybody) else options.rounds):
        for start in range(0, len(everybody), size):
            with ExitStack() as stack:
                group = [
                    stack.enter_context(Process(one, shape, precision, options.threads, options.clock))
                    for one in everybody[start : start + size]
                ]
                for _ in range(options.rounds if size >= len(everybody) else 1):
                    for process in group:
                        process.turn(options.seconds)
            for process in group:
                best[process.one] = max(best.get(process.one, 0.0), *process.speeds)
                peaks.append(process.peak)
    return {one: (speed, speed * flops / max(peaks)) for one, speed in best.items()}


def show(shape: str, precision: str, found: dict[Contestant, tuple[float, float]]) -> None:
    """Print the rows of one shape and precision, and what ours is beside them."""
    mine = max(speed for one, (speed, _) in found.items() if one.name == "corpusmill")
    shipped = max(speed for one, (speed, _) in found.items() if one.name != "corpusmill" and not one.equal)
    for one, (speed, share) in found.items():
        print(f"| {shape} | {precision} | {one.name} | {one.how} | {speed:,.0f} | {share:.0%} | {mine / speed:.2f} |")
    target = TARGETS.get(shape)
    goal = f" (goal {target})" if target else ""
    print(f"\n{shape}, {precision}: {mine / shipped:.2f} times the best peer as it ships{goal}.", end=" ")
    for compiled in sorted({one.compiled for one in found}):
        alike = {one: speed for one, (speed, _) in found.items() if one.compiled is compiled and one.equal}
        own = next(speed for one, speed in alike.items() if one.name == "corpusmill")
        peers = [speed for one, speed in alike.items() if one.name != "corpusmill"]
        print(f"{'Compiled' if compiled else 'Eager'}, equal settings: {own / max(peers):.2f}.", end=" ")
    print("\n", flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--child", metavar="JSON", help="be one contestant")
    parser.add_argument("--shapes", nargs="*", default=["4M", "11M", "124M"], choices=list(SHAPES), metavar="SHAPE")
    parser.add_argument("--precisions", nargs="*", default=["fp32", "bf16"], choices=("fp32", "bf16"))
    parser.add_argument("--modes", nargs="*", default=["eager", "compiled"], choices=("eager", "compiled"))
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--clock",
        choices=("perf_counter", "process_time"),
        default="perf_counter",
        help="process_time, with one thread, on a machine that does other things",
    )
    parser.add_argument("--together", type=int, help="processes that are in memory at once; all, of 124M two")
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child))
        return 0
    print("| parameters | precision | | | tokens/s | of the ceiling | ours : this |")
    print("|---|---|---|---|---:|---:|---:|")
    for shape in options.shapes:
        for precision in options.precisions:
            show(shape, precision, measure(shape, precision, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
