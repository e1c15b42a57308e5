"""`corpusmill tensorboard`: curves of runs in TensorBoard, while they train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_SHORT = "Serve TensorBoard over the logs of all runs below a folder, while they train."
_HELP = (
    f"{_SHORT}\n\n"
    "Runs write nothing more for it: their metrics.jsonl is mirrored.\n\n"
    "Example: corpusmill tensorboard --runs runs"
)


def _tensorboard(
    runs: Annotated[Path, typer.Option(help="Folder below which runs are; it need not be there yet.")],
    host: Annotated[str, typer.Option(help="Address to listen on; TensorBoard asks for no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 6006,
) -> None:
    import tempfile

    from flows.launch import run_child
    from flows.tensorboard_events import RunsMirror

    with tempfile.TemporaryDirectory() as place:
        argv = [sys.executable, "-m", "tensorboard.main", "--logdir", place, "--host", host, "--port", str(port)]
        ended = run_child(argv, capture=False, on_look=RunsMirror(runs, Path(place)).follow)
    raise typer.Exit(1 if ended.exit_code else 0)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("tensorboard", help=_HELP, short_help=_SHORT)(_tensorboard)
