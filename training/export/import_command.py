"""`import`: take over a GPT-2 model in Hugging Face's layout as a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from training.export.gpt2_config import read_config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `import`."""
    parser.add_argument(
        "--from", dest="source", required=True, metavar="DIR", help="a folder with config.json and safetensors"
    )
    parser.add_argument(
        "--run", required=True, metavar="DIR", help="the run's folder, for evaluate, generate, finetune"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="a tokenizer.json, where the folder has none")
    parser.epilog = "example: python -m training import --from gpt2 --run runs/gpt2"


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Import, or say that it is done; gives the command's JSON result."""
    read_config(Path(arguments.source))  # what is missing shows before PyTorch is loaded
    from training.export.import_model import import_model

    result = import_model(arguments.source, arguments.run, arguments.tokenizer)
    return {"command": "import", **result.model_dump(mode="json")}
