"""Where `--runner dataflow` has its settings from, and what it can read. Imports no Beam."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from schemas.configs.base import load_config
from schemas.configs.dataflow import DataflowConfig
from schemas.errors import ConfigError, InputError
from schemas.storage import Folder

__all__ = ["SETTINGS_VARIABLE", "read_settings", "require_client", "require_reachable", "settings_file"]

SETTINGS_VARIABLE = "CORPUSMILL_DATAFLOW"


def require_client() -> None:
    """See that Dataflow's client is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        found = find_spec("google.cloud.dataflow")
    except ModuleNotFoundError:  # not even google.cloud
        found = None
    if found is None:
        raise ConfigError("Dataflow's client is not installed; it comes with pip install 'corpusmill[dataflow]'")


def settings_file() -> Path:
    """The TOML file: `$CORPUSMILL_DATAFLOW`, or `~/.corpusmill/dataflow.toml`."""
    return Path(os.environ.get(SETTINGS_VARIABLE) or Path.home() / ".corpusmill" / "dataflow.toml").absolute()


def read_settings() -> DataflowConfig:
    """The settings.

    Raises:
        InputError: there is no such file.
        ConfigError: one of them is wrong or missing, or Dataflow's client is not installed.
    """
    require_client()
    file = settings_file()
    if not file.exists():
        raise InputError(
            f"Dataflow is not set up ({file} is missing); write project, region, temp_location and image into it "
            f"(infra/dataflow/README.md shows how), or set {SETTINGS_VARIABLE} to a TOML file that has them"
        )
    return load_config(DataflowConfig, str(file))


def require_reachable(settings: DataflowConfig, urls: Iterable[str]) -> None:
    """See that workers on other machines can read all of these.

    Raises:
        ConfigError: one is a path of this machine.
    """
    local = next((url for url in urls if Folder(url).is_local), None)
    if local is not None and not settings.is_emulator:
        raise ConfigError(
            f"{local} lies on this machine, where Dataflow's workers cannot read it; copy it to a bucket and give its "
            "URL, gs://bucket/folder"
        )
