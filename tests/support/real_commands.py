"""Whether a command line that stands in a file is one that this version takes: parsed by the programs' own parsers."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["check_command", "known_variables"]

_REPOSITORY = Path(__file__).resolve().parents[2]
# What the libraries and programs that ours start read by themselves, and who says so.
_OTHERS = frozenset(
    {
        "HOME",
        "DO_NOT_TRACK",  # Prefect's telemetry
        "AWS_ACCESS_KEY_ID",  # botocore.credentials.EnvProvider
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ENDPOINT_URL",  # botocore.configprovider.ConfiguredEndpointProvider
        "AWS_EC2_METADATA_DISABLED",  # botocore.utils.IMDSFetcher
        "NCCL_DEBUG",  # NCCL
        "NCCL_SOCKET_IFNAME",
        "FI_PROVIDER",  # libfabric, for EFA
        "OMP_NUM_THREADS",  # torch
        "TORCH_NCCL_ASYNC_ERROR_HANDLING",
    }
)


def _corpusmill(words: Sequence[str]) -> None:
    import typer

    from flows.cli.main import app
    from flows.cli.training_commands import TRAINING_COMMANDS

    if words[:1] and words[0] in TRAINING_COMMANDS:
        _training(words)
        return
    command: Any = typer.main.get_command(app)
    context = command.make_context("corpusmill", list(words))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def _training(words: Sequence[str]) -> None:
    from schemas.configs.base import load_config
    from schemas.configs.train import TrainConfig
    from training.cli import _parse

    arguments = _parse(list(words))
    if arguments.command == "train":
        load_config(TrainConfig, None, arguments.set, preset=arguments.preset)


def _prefect(words: Sequence[str]) -> None:
    from prefect.cli._app import _app

    _app.parse_args(list(words), exit_on_error=False, print_error=False)


def _torchrun(words: Sequence[str]) -> None:
    from torch.distributed.run import get_args_parser

    arguments = get_args_parser().parse_args(list(words))
    assert arguments.module, "torchrun is to start a module"
    inner = [arguments.training_script, *arguments.training_script_args]
    _python(["-m", *inner[inner.index("--") + 1 if "--" in inner else 0 :]])


def _python(words: Sequence[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "command", "exec")
        return
    assert words[0] == "-m", words
    module, *rest = words[1:]
    if module == "training":
        _training(rest)
        return
    found = importlib.util.find_spec(module)
    assert found is not None, f"no module {module}"
    assert found.origin is not None
    source = Path(found.origin).read_text()
    assert '__name__ == "__main__"' in source, f"{module} is no program"
    wanted = {int(number) for number in re.findall(r"sys\.argv\[(\d)\]", source)}
    assert wanted == set(range(1, len(rest) + 1)), f"{module} wants {len(wanted)} arguments, got {rest}"


_PROGRAMS = {
    "corpusmill": _corpusmill,
    "prefect": _prefect,
    "torchrun": _torchrun,
    "python": _python,
}


def check_command(words: Sequence[str]) -> None:
    """Parse a command line of ours.

    Raises:
        Exception: it is not one; the text is that of the program's own parser.
    """
    _PROGRAMS[words[0]](words[1:])


@cache
def _ours() -> frozenset[str]:
    """Every text constant of our source that is the name of a variable of ours."""
    found = set()
    for package in ("schemas", "pipelines", "training", "flows"):
        for path in (_REPOSITORY / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return frozenset(name for name in found if re.fullmatch(r"CORPUSMILL_[A-Z_]+", name))


@cache
def _prefects() -> frozenset[str]:
    from prefect.settings import Settings
    from pydantic import BaseModel

    def names(model: type[BaseModel]) -> set[str]:
        found = set()
        for field in model.model_fields.values():
            alias: Any = field.validation_alias
            found |= {str(one).upper() for one in getattr(alias, "choices", [alias]) if isinstance(one, str)}
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found |= names(field.annotation)
        prefix = str(model.model_config.get("env_prefix", ""))
        return found | {f"{prefix}{name}".upper() for name in model.model_fields}

    return frozenset(names(Settings))


@cache
def _botocores() -> frozenset[str]:
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

    found: set[str] = set()
    for _, variable, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        found |= {variable} if isinstance(variable, str) else set(variable or ())
    return frozenset(found)


def known_variables() -> frozenset[str]:
    """The environment variables that something in our images reads."""
    return _ours() | _prefects() | _botocores() | _OTHERS
