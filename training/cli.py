"""`python -m training`: all about models, from planning and training to export, without the rest of the project.

Exit codes: 0 done, 1 the work failed, 2 the user's input or config is wrong. A mistake of the user is one line on
stderr, and comes before PyTorch is imported.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any, NoReturn

from schemas.errors import ConfigError, CorpusmillError

__all__ = ["COMMANDS", "main"]

# Each module has `add_arguments(parser)` and `run(arguments) -> dict`, and is imported only when its command is called.
COMMANDS = {
    "train": ("training.train_command", "pretrain a model on a mixture"),
    "tune": ("training.tuning.command", "look for a good learning rate, batch and shape by many short trainings"),
    "evaluate": ("training.evaluation.command", "score a checkpoint on a suite of tasks"),
    "generate": ("training.generation.command", "write text with a checkpoint"),
    "finetune": ("training.finetuning.command", "fine-tune a checkpoint on prompt/answer pairs"),
    "plan": ("training.planner.command", "say what training needs, takes and costs, before it is started"),
    "export": ("training.export.command", "write a checkpoint as a folder that transformers loads"),
    "import": ("training.export.import_command", "take over a GPT-2 model of transformers as a run"),
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see `{self.prog} --help`")


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m training", description="Train and use GPT-3 models on token shards.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument("--json", action="store_true", help="print the result as one JSON object, last line")
        if name in argv[:1]:
            importlib.import_module(module).add_arguments(command)
    return parser.parse_args(argv)


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
        return
    for key, value in result.items():
        if isinstance(value, str | int | float):
            sys.stdout.write(f"{key.replace('_', ' ')}: {value}\n")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parse(words)
        module, _ = COMMANDS[arguments.command]
        _show(importlib.import_module(module).run(arguments), arguments.json)
    except CorpusmillError as error:
        sys.stderr.write(f"corpusmill: {error}\n")
        if "--json" in words:
            about = {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
            sys.stdout.write(json.dumps(about, ensure_ascii=False) + "\n")
        return error.exit_code
    return 0
