"""The settings of one demo: its own, then the user's file, then `--set`."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from flows.registry import STAGES
from flows.stage_request import stage_config
from schemas.configs.base import StageConfig, load_config, merge_settings, parse_overrides, read_toml
from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError

__all__ = ["check_settings", "demo_settings", "write_settings"]

_OWN = Path(__file__).with_name("settings.toml")
_NAME = "settings.toml"
_TRAINING: dict[str, type[StageConfig]] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "finetune": FinetuneConfig,
}


# The demo's sources are all trusted; there is no raw crawl to tell them from.
_DATA = tuple(stage for stage in STAGES if stage != "quality")


def demo_settings(config: str | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Settings by stage.

    Raises:
        InputError: the user's file cannot be read.
        ConfigError: it is not TOML, or a key is not of the form `stage.key`.
    """
    settings = tomllib.loads(_OWN.read_text(encoding="utf-8"))
    if config:
        settings = merge_settings(settings, read_toml(config))
    settings = merge_settings(settings, parse_overrides(list(overrides)))
    known = [*_DATA, *_TRAINING]
    for name, table in settings.items():
        if name not in known or not isinstance(table, dict):
            raise ConfigError(f"{name}: unknown stage; the demo takes stage.key=value with one of {', '.join(known)}")
    return settings


def check_settings(settings: dict[str, Any], seed_urls: Sequence[str]) -> None:
    """Check the settings of every stage that is going to run.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    with tempfile.NamedTemporaryFile("wb", suffix=".toml") as stream:
        tomli_w.dump(settings, stream)
        stream.flush()
        for stage in _DATA:
            if stage != "crawl" or seed_urls:
                stage_config(stage, stream.name, seed_urls=seed_urls if stage == "crawl" else ())
        for config_class in _TRAINING.values():
            load_config(config_class, stream.name)


def write_settings(root: CorpusRoot, settings: dict[str, Any]) -> str:
    """Write `<root>/settings.toml`, from which every step reads its table; gives its path.

    Raises:
        OutputError: the corpus cannot be written.
    """
    root.folder.put_whole(_NAME, tomli_w.dumps(settings).encode("utf-8"))
    return root.folder.path(_NAME)
