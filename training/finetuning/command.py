"""`finetune`: go on with a trained model on prompts and answers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.finetune import FinetuneConfig
from schemas.run import require_run
from schemas.suites import read_suite
from training.finetuning.pair_files import read_pairs

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `finetune`."""
    parser.add_argument("--run", required=True, metavar="DIR", help="the run to start from")
    parser.add_argument("--data", required=True, metavar="FILE", help='JSONL of {"prompt", "answer"}, or Parquet')
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new run")
    parser.add_argument("--test", metavar="FILE", help="pairs to answer before and after")
    parser.add_argument("--validation", metavar="FILE", help="pairs whose loss is taken on the way; the best is kept")
    parser.add_argument("--suite", metavar="FILE", help="tasks to score before and after, as `evaluate` takes them")
    parser.add_argument("--method", metavar="M", help="full (the default), or lora: an adapter beside frozen weights")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [finetune]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as epochs=5")
    parser.add_argument("--seed", type=int, metavar="N", help="of the order of pairs and of dropout")
    parser.epilog = "example: python -m training finetune --run runs/first --data pairs-train.jsonl --out runs/tuned"


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune, or give the stored result; gives the command's JSON result."""
    config = load_config(FinetuneConfig, arguments.config, arguments.set, seed=arguments.seed, method=arguments.method)
    require_run(arguments.run)
    files = {"data": arguments.data, "test": arguments.test, "validation": arguments.validation}
    for file in filter(None, files.values()):
        read_pairs(file, config)
    if arguments.suite:
        read_suite(arguments.suite, config.suite_data)
    from training.finetuning.finetune import finetune
    from training.finetuning.job import Sources

    sources = Sources(base=arguments.run, suite=arguments.suite, **files)
    result = finetune(sources, arguments.out, config, _say)
    return {"command": "finetune", **result.model_dump(mode="json")}
