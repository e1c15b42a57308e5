"""A Prefect server that runs elsewhere, such as in a container: set up as one of ours is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from flows.prefect_server import own_settings
from flows.services.daemons import write_settings
from flows.services.gpu_slots import limit_name
from flows.services.keeper import setup_command
from schemas.configs.up import UpConfig
from schemas.errors import ConfigError, InputError, StageError

__all__ = ["deploy_elsewhere"]

_API = "PREFECT_API_URL"
# Of a server that we start, and of no meaning for one that is there already.
_OURS = ("host", "port", "url", "database", "auth", "workers", "runs", "grace_seconds")


def _require_sense(config: UpConfig) -> None:
    given = [name for name in _OURS if name in config.model_fields_set]
    if given:
        raise ConfigError(
            f"up.{given[0]}: a setting of a server that `corpusmill up` starts; `corpusmill deploy` takes all but "
            f"{', '.join(_OURS)}"
        )


def deploy_elsewhere(config: UpConfig, wait_seconds: float, tell: Callable[[str], None]) -> dict[str, str]:
    """Make or bring up to date what flows need on the server that the environment names.

    Args:
        config: of these settings, those about queues, limits and signs of life, and the folder in which flows run; it
            need not be on this machine.
        wait_seconds: in which the server has to answer and to be set up.
        tell: is given a line of text for what takes long.

    Returns:
        `api`, `folder` and `limit`, the name of the concurrency limit that trainings take a slot of.

    Raises:
        InputError: the environment names no server.
        ConfigError: a setting is given that says nothing about it.
        StageError: it does not answer in time, or refuses.
    """
    _require_sense(config)
    api = os.environ.get(_API, "")
    if not api:
        raise InputError(f"{_API} is not set; give the server's URL in it, such as http://prefect-server:4200/api")
    complete = config.model_copy(update={"folder": config.folder or str(Path.cwd())})
    tell(f"waiting for {api}")
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        write_settings(home, complete)
        try:
            done = subprocess.run(  # noqa: S603
                setup_command(home),
                env={**own_settings(home), **os.environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=wait_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise StageError(f"{api} was not set up within {wait_seconds:.0f} s; is a Prefect server there?") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise StageError(f"setting up {api} failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return {"api": api, "folder": complete.folder, "limit": limit_name()}
