"""`plan`: what a run needs, takes and costs, before anything runs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.model import ModelConfig
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError, InputError
from training.planner.hardware import SHIPPED, HardwareTable, read_hardware
from training.planner.memory import CHECKPOINTING
from training.planner.plan import Job, Plan, plan_on_cpu, plan_on_gpu
from training.planner.text import as_table, in_full

__all__ = ["add_arguments", "run"]

_VOCABULARY = 50_257
_ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `plan`."""
    parser.add_argument("--model", metavar="NAME", help=f"{_ALL}, or one of {', '.join(PRESETS)}")
    parser.add_argument("--tokens", type=float, metavar="N", help="tokens to train on, such as 300e9")
    parser.add_argument(
        "--gpu", metavar="NAMES", help="of the table of hardware, several with commas; cpu: this machine, measured"
    )
    parser.add_argument("--gpus", type=int, metavar="N", help="how many; the fewest that fit where not given")
    parser.add_argument("--activations", choices=CHECKPOINTING, help="what is computed again in the backward pass")
    parser.add_argument("--vocabulary", type=int, default=_VOCABULARY, metavar="N", help="tokens, GPT-2's by default")
    parser.add_argument("--hardware", metavar="FILE", help="a table of hardware, prices and rates of your own")
    parser.add_argument("--show-hardware", action="store_true", help="print the table that is shipped, to copy it")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [train]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as micro_batch=4")
    parser.epilog = "example: python -m training plan --model gpt3-175b --tokens 300e9 --gpu h100"


def _job(arguments: argparse.Namespace, model: str | None) -> Job:
    config = load_config(TrainConfig, arguments.config, arguments.set, preset=model)
    if arguments.vocabulary < 2:
        raise ConfigError(f"--vocabulary {arguments.vocabulary}: give the number of token ids, 2 or more")
    return Job(
        name=config.preset or "model",
        model=ModelConfig(vocabulary_size=arguments.vocabulary, **config.model.model_dump()),
        tokens=int(arguments.tokens),
        config=config,
    )


def _on_this_machine(job: Job, table: HardwareTable) -> Plan:
    import torch

    from training.planner.machine import cores, measure_step, memory_of_machine, number_bytes

    if job.config.threads is not None:
        torch.set_num_threads(job.config.threads)
    device = torch.device("cpu")
    facts: dict[str, Any] = {
        "cores": cores(),
        "memory": memory_of_machine(),
        "size": number_bytes(job.config, device),
    }
    # Before anything is measured, so that what does not fit is not tried.
    plan_on_cpu(job, table, tokens_per_second=1.0, **facts)
    cost = measure_step(job.model, job.config, device)
    return plan_on_cpu(job, table, tokens_per_second=cost.tokens_per_second, **facts)


def _plans(arguments: argparse.Namespace) -> list[Plan]:
    if arguments.model is None and arguments.config is None:
        raise InputError("say what to plan: --model NAME (`--model all` for every preset), or --config FILE")
    if arguments.gpu is None:
        raise InputError("say on what: --gpu NAME, such as h100, or cpu for this machine")
    if arguments.tokens is None or not 1 <= arguments.tokens < 1e18:
        raise InputError("say on how many tokens: --tokens N, such as 300e9")
    table = read_hardware(arguments.hardware)
    names = [name for name in PRESETS if name != "demo"] if arguments.model == _ALL else [arguments.model]
    kinds = [kind.strip() for kind in arguments.gpu.split(",")]
    if "cpu" in kinds and (arguments.gpus not in {None, 1} or arguments.activations not in {None, "none"}):
        raise ConfigError(
            "--gpu cpu is this one machine, which keeps all activations; leave --gpus and --activations out"
        )
    if arguments.gpus is not None and arguments.gpus < 1:
        raise ConfigError(f"--gpus {arguments.gpus}: give 1 or more, or leave it out for the fewest that fit")
    compared = len(names) * len(kinds) > 1  # in a table what does not fit is a row of its own
    plans = []
    for name in names:
        job = _job(arguments, name)
        for kind in kinds:
            if kind == "cpu":
                plans.append(_on_this_machine(job, table))
            else:
                plans.append(
                    plan_on_gpu(job, table, kind, arguments.gpus, arguments.activations, must_fit=not compared)
                )
    return plans


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the plan, or with several models or accelerators a table of them; gives the command's JSON result."""
    if arguments.show_hardware:
        sys.stdout.write(SHIPPED.read_text(encoding="utf-8"))
        return {}
    plans = _plans(arguments)
    if arguments.json:
        return {"command": "plan", "plans": [plan.as_json() for plan in plans]}
    sys.stdout.write(in_full(plans[0]) if len(plans) == 1 else as_table(plans))
    return {}
