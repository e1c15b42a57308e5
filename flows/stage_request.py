"""From what a user gave to the request that a stage takes, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.registry import stage_entry
from pipelines.engine.settings import Engine, default_workers
from pipelines.engine.stage import StageRequest
from schemas.configs.base import StageConfig, load_config
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError

__all__ = ["build_request", "check_inputs", "choose_engine", "reachable", "require_writable", "stage_config"]


def require_writable(root: CorpusRoot) -> None:
    """Check that files can be made in a corpus, before any work is done for it.

    Raises:
        OutputError: they cannot.
    """
    root.folder.put_whole(".probe", b"")
    root.folder.remove(".probe")


def check_inputs(inputs: Sequence[str]) -> None:
    """Check that local inputs are there; what lies behind a URL or a pattern is looked for by the stage.

    Raises:
        InputError: one is not.
    """
    for given in inputs:
        if "://" not in given and not any(sign in given for sign in "*?[") and not Path(given).exists():
            raise InputError(f"no file or folder {given}; give --input something that exists")


def stage_config(
    stage: str,
    config: str | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    seed_urls: Sequence[str] = (),
) -> StageConfig:
    """The settings of a stage from a TOML file, `key=value` overrides and the flags that are settings.

    A seed given to a stage that draws nothing changes nothing.

    Raises:
        ConfigError: an unknown stage or key, a wrong value, seed URLs for another stage than crawl.
        InputError: the file cannot be read.
    """
    config_class = stage_entry(stage).config_class()
    known = config_class.model_fields
    if seed_urls and "seed_urls" not in known:
        raise ConfigError(f"--seed-url is for crawl only, and the stage is {stage}; leave it out")
    values: dict[str, Any] = {"seed_urls": tuple(seed_urls) or None, "seed": seed if "seed" in known else None}
    return load_config(config_class, config, list(overrides), **values)


def choose_engine(runner: str, workers: int | None) -> Engine:
    """The engine of this name; with all the workers that it has where their number is not given.

    Raises:
        ConfigError: an unknown runner, or fewer than one worker.
        InputError: no Flink cluster is up, or Dataflow is not set up.
    """
    if workers is None and runner == "flink":
        from pipelines.engine.flink.description import read_cluster

        workers = read_cluster().slots
    if workers is None and runner == "dataflow":
        from pipelines.engine.dataflow.settings import read_settings

        workers = read_settings().workers
    return Engine(runner=runner, workers=default_workers() if workers is None else workers)


def reachable(path: str, runner: str) -> str:
    """A path or URL as the workers of a runner find it: those of Flink have another working folder than we."""
    return path if runner == "local" or "://" in path else str(Path(path).absolute())


def build_request(
    stage: str,
    root: str,
    *,
    source: str | None = None,
    partition: str | None = None,
    inputs: Sequence[str] = (),
    workers: int | None = None,
    runner: str = "local",
    **settings: Any,
) -> StageRequest[Any]:
    """A request for `run` or `is_done` of the stage.

    Args:
        stage: a name of the registry.
        root: URL of the corpus.
        source: as in `StageRequest`.
        partition: as in `StageRequest`.
        inputs: as in `StageRequest`.
        workers: all that the runner has where not given.
        runner: where the pipeline runs.
        settings: as in `stage_config`.

    Raises:
        UserError: something that was given is wrong.
    """
    config = stage_config(stage, **settings)
    check_inputs(inputs)
    return StageRequest(
        root=CorpusRoot(reachable(root, runner)),
        config=config,
        engine=choose_engine(runner, workers),
        source=source,
        partition=partition,
        inputs=tuple(inputs),
    )
