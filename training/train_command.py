"""`train`: pretrain a model on a mixture."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig
from schemas.run import latest_step
from training.loop.prepare import prepare_run
from training.loop.run_log import METRICS_NAME, read_log

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`."""
    parser.add_argument("--root", required=True, metavar="URL", help="the corpus")
    parser.add_argument("--mixture", required=True, metavar="NAME", help="a mixture plan of the corpus")
    parser.add_argument("--run", required=True, metavar="DIR", help="the run's folder; one that exists is gone on with")
    parser.add_argument("--preset", metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [train]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as steps=300")
    parser.add_argument("--seed", type=int, metavar="N", help="of initial weights, data order and dropout")
    parser.epilog = "example: python -m training train --root corpus --mixture main --run runs/first --preset demo"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, or go on, or say that the run is finished; gives the command's JSON result."""
    config = load_config(TrainConfig, arguments.config, arguments.set, preset=arguments.preset, seed=arguments.seed)
    prepared = prepare_run(config, arguments.root, arguments.mixture, arguments.run)
    result: dict[str, Any] = {"command": "train", "run": arguments.run, "steps": prepared.steps}
    if latest_step(prepared.folder) == prepared.steps:
        last = read_log(prepared.folder, METRICS_NAME)[-1:]
        known = {key: row.get(key) for row in last for key in ("step", "tokens", "loss", "validation_loss")}
        return {**result, "status": "finished before", **known}
    from training.loop.train import train

    done = asdict(train(prepared))
    plan = done.pop("plan")
    return {**result, "status": "finished", **done, **({} if plan is None else plan.model_dump(exclude={"step_parts"}))}
