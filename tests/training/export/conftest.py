"""Models on both sides: what `transformers` made and what it makes of our exports, all in one process of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from schemas.configs.export import ExportConfig
from schemas.configs.generate import GenerateConfig
from schemas.configs.model import ModelConfig
from schemas.run import RunConfig, write_run
from schemas.storage import Folder
from training.checkpoints import CheckpointState, load_model, save
from training.export.export import export_run
from training.generation.stream import generate_ids
from training.model.gpt import GPT

SCRIPT = Path(__file__).resolve().parents[2] / "support" / "transformers_process.py"
CONTEXT, NEW, TEXT = 32, 12, "the cat sees a red bird near<|x|> the tree"
# Rows of different lengths, longer and shorter than the band of 8.
PADDED = [[5, 70, 71, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22], [80, 81, 82], [9, 8, 7, 6, 5, 4, 3, 2, 90, 91, 92]]
GPT2 = {"n_positions": CONTEXT, "n_embd": 32, "n_layer": 3, "n_head": 4, "initializer_range": 0.3}
MADE: dict[str, dict[str, Any]] = {
    "plain": {"config": {**GPT2, "vocab_size": 320, "eos_token_id": 0, "bos_token_id": 0}, "shard": None},
    "padded": {"config": {**GPT2, "vocab_size": 384, "eos_token_id": 0, "bos_token_id": 0}, "shard": "50KB"},
}


def ids_of(seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 320, (CONTEXT,), generator=generator).tolist()


IDS = [ids_of(1), ids_of(2)]


@dataclass(frozen=True)
class Both:
    """Folders by name, and what `transformers` said about each."""

    folders: dict[str, str]
    runs: dict[str, str]
    logits: dict[str, torch.Tensor]
    facts: dict[str, dict[str, Any]]


def write_random_run(folder: str, model: ModelConfig, tokenizer: Tokenizer) -> str:
    """A run of random weights that are spread enough for greedy generation to be sure."""
    gpt = GPT(model, seed=5)
    with torch.no_grad():
        for name, parameter in gpt.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    description = RunConfig(
        root="", mixture="", plan_digest="", tokenizer="tiny", end_of_text=0, model=model, seed=5, settings={}
    )
    Folder(folder).put_whole("tokenizer.json", tokenizer.to_str().encode())
    write_run(folder, description)
    save(folder, CheckpointState(step=7, tokens=0, plan_digest="", data={}, seed=5), gpt)
    return folder


def our_logits(run: str) -> torch.Tensor:
    with torch.no_grad():
        return load_model(run).model(torch.tensor(IDS))


def our_greedy(run: str, start: list[int]) -> list[int]:
    loaded = load_model(run)
    config = GenerateConfig(max_tokens=NEW, temperature=0)
    return list(generate_ids(loaded.model, start, config, loaded.end_of_text))


def until_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(0)] if 0 in ids else ids


@pytest.fixture(scope="session")
def both(_trained_once: Path, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """One process of `transformers` makes two GPT-2 models and loads three exports of ours."""
    pytest.importorskip("transformers", reason="comes with the packages for development")
    root = tmp_path_factory.mktemp("both")
    dense = ModelConfig(vocabulary_size=320, context=CONTEXT, layers=3, heads=4, width=32, sparse=False)
    runs = {
        "dense": write_random_run(str(root / "dense-run"), dense, tokenizer),
        "banded": write_random_run(
            str(root / "banded-run"), dense.model_copy(update={"sparse": True, "band": 8}), tokenizer
        ),
        "trained": str(_trained_once),
    }
    folders = {}
    for name, run in runs.items():
        folders[name] = str(root / name)
        export_run(run, folders[name], ExportConfig())
    folders["bf16"] = str(root / "bf16")
    export_run(runs["banded"], folders["bf16"], ExportConfig(precision="bf16", shard_bytes=20_000))
    about = {"ids": IDS, "start": [0, *PADDED[0]], "new": NEW}
    make = {}
    for name, what in MADE.items():
        folders[name] = str(root / name)
        Folder(folders[name]).put_whole("tokenizer.json", tokenizer.to_str().encode())
        make[name] = {**about, **what, "folder": folders[name]}
    load = {
        name: {**about, "folder": folders[name], "code": name != "dense", "padded": PADDED, "text": TEXT}
        for name in ("dense", "banded", "trained", "bf16")
    }
    load["banded"]["beams"] = 3
    (root / "job.json").write_text(json.dumps({"make": make, "load": load}))
    environment = {**os.environ, "HF_HOME": str(root / "home"), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, str(SCRIPT), str(root / "job.json"), str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    facts = json.loads((root / "facts.json").read_text())
    return Both(folders, runs, load_file(root / "logits.safetensors"), facts)


class Ours:
    """Our side of each comparison."""

    ids, start, text = IDS, [0, *PADDED[0]], TEXT
    logits, greedy, until_end = staticmethod(our_logits), staticmethod(our_greedy), staticmethod(until_end)


@pytest.fixture(scope="session")
def ours() -> type[Ours]:
    """What our program gives for a run."""
    return Ours
