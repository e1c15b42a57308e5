"""Entry point of the console command `corpusmill`.

Exit codes: 0 done, 1 the work failed, 2 the user's input or config is wrong, 130 interrupted. Nothing heavy is
imported before a command has checked what it was given.
"""

from __future__ import annotations

import signal
import sys
import threading
from importlib.metadata import version
from types import FrameType
from typing import Annotated, NoReturn

import typer

from flows.cli import (
    backfill_command,
    dataflow_commands,
    dedup_commands,
    demo_command,
    doctor_command,
    flink_commands,
    leaderboard_command,
    licences_command,
    maintenance,
    run_command,
    services_commands,
    takedown_command,
    tensorboard_command,
    trace_command,
    training_commands,
    verify_command,
    watch_command,
)
from flows.cli.output import complain, print_json
from flows.run_log import log_crash, log_thread_crash
from schemas.errors import CorpusmillError
from schemas.process_exit import leave

__all__ = ["app", "main", "run"]

_GO_ON = "interrupted; run the same command to go on"

app = typer.Typer(
    name="corpusmill",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
run_command.register(app)
training_commands.register(app)
maintenance.register(app)
takedown_command.register(app)
trace_command.register(app)
dedup_commands.register(app)
verify_command.register(app)
demo_command.register(app)
services_commands.register(app)
doctor_command.register(app)
licences_command.register(app)
tensorboard_command.register(app)
flink_commands.register(app)
dataflow_commands.register(app)
backfill_command.register(app)
leaderboard_command.register(app)
watch_command.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"corpusmill {version('corpusmill')}")
        raise typer.Exit


@app.callback()
def _corpusmill(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """From a web crawl to an evaluated, fine-tuned GPT.

    Example: corpusmill demo
    """


def _fail(message: str, kind: str, code: int, as_json: bool) -> int:
    complain(message)
    if as_json:
        print_json({"error": kind, "message": message, "exit_code": code})
    return code


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    complain(_GO_ON)
    sys.exit(128 + number)


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="corpusmill", standalone_mode=False)
    except CorpusmillError as error:
        return _fail(str(error), type(error).__name__, error.exit_code, as_json)
    except typer.TyperException as error:
        known = {one.name for one in app.registered_commands} | {one.name for one in app.registered_groups}
        command = " ".join(["corpusmill", *(word for word in arguments[:1] if word in known)])
        return _fail(f"{error.format_message()} See `{command} --help`.", "UsageError", 2, as_json)
    return code if isinstance(code, int) else 0


def main() -> int:
    """Run the command that the process was started with."""
    sys.excepthook = log_crash
    threading.excepthook = log_thread_crash
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell does for jobs in the background
            signal.signal(number, _stop)  # an exception lets go of everything that is held
    code = run(sys.argv[1:])
    leave(code)
    return code
