"""`train`: pretrain a model on a mixture."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError, CorpusmillError, StageError
from schemas.run import latest_step
from training.loop.prepare import PreparedRun, prepare_run
from training.loop.run_log import METRICS_NAME, read_log

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`."""
    parser.add_argument("--root", required=True, metavar="URL", help="the corpus")
    parser.add_argument("--mixture", required=True, metavar="NAME", help="a mixture plan of the corpus")
    parser.add_argument("--run", metavar="DIR", help="the run's folder; one that exists is gone on with")
    parser.add_argument("--preset", metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [train]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as steps=300")
    parser.add_argument("--seed", type=int, metavar="N", help="of initial weights, data order and dropout")
    parser.add_argument(
        "--nproc", type=int, default=1, metavar="N", help="processes on this machine that train together (torchrun)"
    )
    parser.add_argument(
        "--verify-resume",
        action="store_true",
        help="train a few steps twice in a scratch folder, killing the second run twice, and compare",
    )
    parser.epilog = "example: python -m training train --root corpus --mixture main --run runs/first --preset demo"


def _options(arguments: argparse.Namespace) -> list[str]:
    """The command line of one of the ranks."""
    options = ["train", "--root", arguments.root, "--mixture", arguments.mixture]
    options += ["--run", arguments.run] if arguments.run else []
    for name in ("preset", "config", "seed"):
        value = getattr(arguments, name)
        options += [] if value is None else [f"--{name}", str(value)]
    for setting in arguments.set:
        options += ["--set", setting]
    return [*options, "--json"] if arguments.json else options


@contextmanager
def _as_rank() -> Iterator[bool]:
    """Be one of many processes: gives whether this is the one that speaks; an error that all have, it alone says."""
    from training.process_group import end_with_parent

    end_with_parent()
    rank = int(os.environ["RANK"])
    try:
        yield rank == 0
    except StageError as error:
        # Bad steps and stops are found by all ranks alike.
        if rank:
            raise SystemExit(error.exit_code) from error
        raise
    except CorpusmillError as error:
        if rank:
            sys.stderr.write(f"corpusmill: rank {rank}: {error}\n")
            raise SystemExit(error.exit_code) from error
        raise
    except RuntimeError as error:
        # What a backend raises where its other end is gone; which has said why.
        text = str(error).splitlines()[0]
        if not any(sign in str(error) for sign in ("gloo", "NCCL", "closed by peer", "Timed out")):
            raise
        raise StageError(f"rank {rank} lost the others: {text:.200}") from error


def _train(prepared: PreparedRun, arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"command": "train", "run": arguments.run, "steps": prepared.steps}
    if latest_step(prepared.folder) == prepared.steps:
        last = read_log(prepared.folder, METRICS_NAME)[-1:]
        known = {key: row.get(key) for row in last for key in ("step", "tokens", "loss", "validation_loss")}
        return {**result, "status": "finished before", **known}
    if arguments.nproc > 1:
        from training.launch import run_ranks

        raise SystemExit(run_ranks(arguments.nproc, _options(arguments), prepared.config.grace_seconds))
    from training.loop.train import train

    done = asdict(train(prepared))
    plan = done.pop("plan")
    errors = {} if plan is None else plan.model_dump(exclude={"step_parts", "steps"})  # its steps are those measured
    return {**result, "status": "finished", **done, **errors}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train, or go on, or say that the run is finished; gives the command's JSON result."""
    config = load_config(TrainConfig, arguments.config, arguments.set, preset=arguments.preset, seed=arguments.seed)
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if arguments.verify_resume:
        from training.verify_resume import verify_resume

        return verify_resume([*_options(arguments), "--nproc", str(arguments.nproc)])
    if not arguments.run:
        raise ConfigError("no --run; give the folder in which the run is to be, such as --run runs/first")
    if arguments.nproc < 1 or (ranks > 1 and arguments.nproc > 1):
        raise ConfigError(
            f"--nproc is {arguments.nproc} in one of {ranks} processes of torchrun; give 1 or more, none to torchrun"
        )
    if ranks == 1:
        prepared = prepare_run(config, arguments.root, arguments.mixture, arguments.run)
        return _train(prepared, arguments)
    with _as_rank() as speaks:
        prepared = prepare_run(config, arguments.root, arguments.mixture, arguments.run)
        result = _train(prepared, arguments)
    if not speaks:
        raise SystemExit(0)
    return result
