"""`evaluate`: score a checkpoint on a suite of tasks."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.evaluate import EvaluateConfig
from schemas.run import require_run
from schemas.suites import read_suite, select_tasks

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `evaluate`."""
    parser.add_argument("--run", required=True, metavar="DIR", help="a training or fine-tuning run")
    parser.add_argument(
        "--suite", required=True, metavar="FILE", help="a suite of tasks, TOML or JSON, or a shipped one by name"
    )
    parser.add_argument("--data", metavar="DIR", help="folder with the files of a shipped suite")
    parser.add_argument("--task", action="append", metavar="NAME", help="score this task; may be given often")
    parser.add_argument("--tag", action="append", metavar="NAME", help="score tasks with this tag; may be given often")
    parser.add_argument("--shots", type=int, action="append", metavar="K", help="examples; may be given often")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint to score; the newest where not given")
    parser.add_argument("--limit", type=int, metavar="N", help="items of a task at most")
    parser.add_argument(
        "--untrained",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="score the model as it was before training, too (the default)",
    )
    parser.add_argument("--batch", type=int, metavar="N", help="sequences of one forward pass; changes no score")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [evaluate]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as limit=100")
    parser.epilog = "example: python -m training evaluate --run runs/first --suite all --data eval-data --limit 100"


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score, or give the stored scores; gives the command's JSON result."""
    config = load_config(
        EvaluateConfig,
        arguments.config,
        arguments.set,
        step=arguments.step,
        data=arguments.data,
        tasks=arguments.task,
        tags=arguments.tag,
        shots=arguments.shots,
        limit=arguments.limit,
        untrained=arguments.untrained,
        batch=arguments.batch,
    )
    require_run(arguments.run)
    select_tasks(read_suite(arguments.suite, config.data), config.tasks, config.tags)
    from training.evaluation.evaluate import evaluate
    from training.evaluation.results import result_name

    result = evaluate(arguments.run, arguments.suite, config, _say)
    file = f"{arguments.run}/scores/{result_name(result.suite, result.step)}.json"
    return {"command": "evaluate", "file": file, **result.model_dump(mode="json")}
