"""`corpusmill train|tune|evaluate|generate|finetune|plan|export|import`: thin over `python -m training`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import typer

from flows.cli.output import complain
from schemas.configs.train import LONGEST_GRACE_SECONDS

__all__ = ["TRAINING_COMMANDS", "register", "training_argv", "training_environment"]

_GRACE_SECONDS, _LATER_SECONDS = 5.0, 30.0
TRAINING_COMMANDS = {
    "train": "Pretrain a GPT-3 model on a mixture of token shards.",
    "tune": "Look for a good learning rate, batch and shape by many short trainings.",
    "evaluate": "Score a checkpoint on a suite of tasks.",
    "generate": "Write text with a checkpoint.",
    "finetune": "Fine-tune a checkpoint on prompt/answer pairs.",
    "plan": "Say what training needs, takes and costs, before it is started.",
    "export": "Write a checkpoint as a folder that transformers loads.",
    "import": "Take over a GPT-2 model of transformers as a run.",
}


def training_argv(command: str, *arguments: str) -> list[str]:
    """The command line of one training command."""
    return [sys.executable, "-m", "training", command, *arguments]


def training_environment() -> dict[str, str]:
    """The environment of a process that trains; what the user has set wins."""
    from training.launch import launch_environment

    return {**launch_environment(), **os.environ}


def _run(context: typer.Context) -> None:
    from flows.launch import run_child

    command = str(context.info_name)
    # Training ends by itself within its own grace, and only it knows what that is.
    grace = LONGEST_GRACE_SECONDS + _LATER_SECONDS if command in {"train", "tune"} else _GRACE_SECONDS
    argv = training_argv(command, *context.args)
    result = run_child(argv, env=training_environment(), capture=False, grace_seconds=grace)
    if command == "tune" and result.exit_code == 0 and "--help" not in context.args:
        _draw(context.args)
    raise typer.Exit(result.exit_code if result.exit_code >= 0 else 1)


def _draw(arguments: Sequence[str]) -> None:
    """Draw the page of the study that a command has done."""
    from flows.tuning_report.page import write_tuning_page

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out")
    given, _ = parser.parse_known_args(arguments)
    complain(f"the trials are drawn in {write_tuning_page(given.out)}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    # Every option goes through as it is, --help too.
    passing = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name, text in TRAINING_COMMANDS.items():
        app.command(name, help=text, context_settings=passing)(_run)
