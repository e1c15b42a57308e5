"""`tune`: look for a good learning rate, batch and shape by many short trainings."""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.presets import PRESETS
from schemas.configs.train import TrainConfig
from schemas.configs.tune import TuneConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError
from schemas.mixture import read_mixture
from schemas.storage import Folder
from training.loop.interruption import hold_run

__all__ = ["add_arguments", "run"]

_SETTINGS_NAME = "tune.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tune`."""
    parser.add_argument("--root", required=True, metavar="URL", help="the corpus")
    parser.add_argument("--mixture", required=True, metavar="NAME", help="a mixture plan of the corpus")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the study's folder; one that exists is gone on with"
    )
    parser.add_argument("--preset", metavar="NAME", help=f"of what is not tuned: one of {', '.join(PRESETS)}")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with the tables [tune] and [train]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as batches=[16,32]")
    parser.add_argument(
        "--train-set", action="append", default=[], metavar="KEY=VALUE", help="of every trial, such as precision=bf16"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of what is tried")
    parser.epilog = (
        "example: python -m training tune --root corpus --mixture main --out studies/first --preset demo "
        "--set tokens=500000 --set batches=[8,16,32]"
    )


def _require_same(out: str, settings: dict[str, Any]) -> None:
    """Write the settings of a study down, or check that they are those that it began with.

    Raises:
        ConfigError: one is another.
    """
    folder = Folder(out)
    if not folder.exists(_SETTINGS_NAME):
        folder.put_whole(_SETTINGS_NAME, json.dumps(settings, indent=1).encode("utf-8"))
        return
    stored = json.loads(folder.read(_SETTINGS_NAME))
    for part, values in settings.items():
        for key, value in values.items():
            known = stored.get(part, {}).get(key)
            if known != value:
                raise ConfigError(
                    f"{Path(out).name}: {part}.{key} was {known!r} when this study began and is {value!r} now; give "
                    "the old value to go on, or another --out folder"
                )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Begin a study, or go on with it; gives the command's JSON result."""
    tune = load_config(TuneConfig, arguments.config, arguments.set, seed=arguments.seed)
    base = load_config(TrainConfig, arguments.config, arguments.train_set, preset=arguments.preset)
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("tuning needs the package optuna; install corpusmill[tuning]")
    root = CorpusRoot(arguments.root)
    if not root.folder.exists():
        raise InputError(f"no corpus in {arguments.root}; give --root a folder that `corpusmill run` has written")
    plan = read_mixture(root.mixture_folder(), arguments.mixture)
    from training.tuning.trials import check_space

    check_space(tune, base, plan)
    Folder(arguments.out).make()
    with hold_run(arguments.out):
        settings = {
            "tune": tune.fingerprint_view(),
            "train": base.fingerprint_view(),
            "mixture": {"digest": plan.digest()},
        }
        _require_same(arguments.out, json.loads(json.dumps(settings)))
        from training.tuning.results import BEST_NAME, best_of
        from training.tuning.study import StudyRun

        rows = StudyRun(arguments.out, arguments.root, plan, tune, base).run()
    best = best_of(rows.rows)
    assert best is not None
    states = [row.state for row in rows.rows]
    return {
        "command": "tune",
        "out": arguments.out,
        "trials": len(rows.rows),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "best_trial": best.number + 1,
        "best_loss": best.loss,
        "best": best.values,
        "config": str(Path(arguments.out) / BEST_NAME),
    }
