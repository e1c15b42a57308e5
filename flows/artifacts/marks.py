"""Names and tags of runs, by which the UI finds those that belong together: stage, partition and fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from pydantic import BaseModel

from schemas.configs.base import read_toml
from schemas.manifest import fingerprint

__all__ = ["partition_tag", "run_name", "run_tag", "stage_tag"]

_DIGITS = 12
# What changes how a run works and never what it makes.
_OPERATIONAL = frozenset({"workers", "runner"})


def run_name(flow: str, field: str) -> Callable[[], str]:
    """Names runs of a flow after the last part of the path in a field: `evaluate pretrain-1f2e3d4c`."""

    def name() -> str:
        from prefect.runtime import flow_run

        parameters = flow_run.parameters["parameters"]
        given = parameters[field] if isinstance(parameters, dict) else getattr(parameters, field)
        return f"{flow} {str(given).rstrip('/').rpartition('/')[2]}"

    return name


def stage_tag(stage: str) -> str:
    """Such as `stage:clean`."""
    return f"stage:{stage}"


def partition_tag(source: str, partition: str) -> str:
    """Such as `partition:web/2026-07`."""
    return f"partition:{source}/{partition}"


def run_tag(parameters: BaseModel, config: str) -> str:
    """Such as `run:1f2e3d4c5b6a`: equal for runs that are asked for the same thing by the same program.

    Args:
        parameters: of the flow.
        config: the file of settings that they name; empty: none.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it is not TOML.
    """
    asked = parameters.model_dump(mode="json", exclude={*_OPERATIONAL, "config"})
    settings = read_toml(config) if config else {}
    same = {"program": version("corpusmill"), "asked": asked, "settings": settings}
    return f"run:{fingerprint(same)[:_DIGITS]}"
