"""`export`: write a checkpoint as a folder that `transformers` loads."""

from __future__ import annotations

import argparse
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.export import ExportConfig
from schemas.run import require_run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    parser.add_argument("--run", required=True, metavar="DIR", help="a training or fine-tuning run")
    parser.add_argument("--out", required=True, metavar="DIR", help="the new folder; an earlier export is replaced")
    parser.add_argument("--as", dest="layout", metavar="LAYOUT", help="gpt2, corpusmill, or auto (the default)")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint to export; the newest where not given")
    parser.add_argument("--precision", metavar="P", help="fp32 (the default) or bf16")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [export]")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as shard_bytes=1000000000"
    )
    parser.epilog = "example: python -m training export --run runs/first --out first-as-gpt2"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Export; gives the command's JSON result."""
    config = load_config(
        ExportConfig,
        arguments.config,
        arguments.set,
        layout=arguments.layout,
        step=arguments.step,
        precision=arguments.precision,
    )
    require_run(arguments.run)
    from training.export.export import export_run

    return {"command": "export", **export_run(arguments.run, arguments.out, config).model_dump(mode="json")}
