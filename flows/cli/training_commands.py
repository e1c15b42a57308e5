"""`corpusmill train|evaluate|generate|finetune|plan|export|import`: thin over `python -m training`."""

from __future__ import annotations

import os
import sys

import typer

__all__ = ["TRAINING_COMMANDS", "register", "training_argv", "training_environment"]

TRAINING_COMMANDS = {
    "train": "Pretrain a GPT-3 model on a mixture of token shards.",
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

    result = run_child(training_argv(str(context.info_name), *context.args), env=training_environment(), capture=False)
    raise typer.Exit(result.exit_code if result.exit_code >= 0 else 1)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    # Every option goes through as it is, --help too.
    passing = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name, text in TRAINING_COMMANDS.items():
        app.command(name, help=text, context_settings=passing)(_run)
