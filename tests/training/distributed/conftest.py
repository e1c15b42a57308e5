"""Groups of two and four ranks that train the same small models as one process does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import training_ranks
from tokenizers import Tokenizer

from schemas.corpus_root import CorpusRoot
from training.process_group import Ranks

SHAPE: dict[str, Any] = {"context": 32, "layers": 2, "heads": 2, "width": 32, "band": 8}
DROPOUT = {"embedding_dropout": 0.1, "attention_dropout": 0.1, "residual_dropout": 0.1}
SETTINGS: dict[str, Any] = {
    "model": SHAPE,
    "batch": 6,  # over four ranks: one, two, one, two
    "learning_rate": 0.01,
    "warmup_tokens": 300,
    "precision": "fp32",
    "keep_checkpoints": 9,
}


def job(root: str, runs: Path) -> dict[str, Any]:
    """What every group does."""

    def one(steps: list[int], **settings: Any) -> dict[str, Any]:
        return {"settings": {**SETTINGS, **settings}, "steps": steps}

    dropped = {"model": {**SHAPE, **DROPOUT}, "micro_batch": 1}
    return {
        "root": root,
        "runs": str(runs),
        "trained": {
            "ddp": one([6]),
            "fsdp": one([6], parallel="fsdp"),
            "ddp-accumulated": one([6], micro_batch=1),
            "fsdp-accumulated": one([6], micro_batch=1, parallel="fsdp"),
            "fsdp-recomputed": one([6], parallel="fsdp", recompute="block"),
            "ddp-dropout": one([6], **dropped),
            "fsdp-dropout": one([6], **dropped, parallel="fsdp"),
            "ddp-resumed": one([2, 3, 6], **dropped),
            "fsdp-resumed": one([2, 3, 6], **dropped, parallel="fsdp"),
        },
        "ragged": {
            "ragged-ddp": {"settings": {**SETTINGS, "weight_decay": 0.0}, "accumulate": 2},
            "ragged-fsdp": {"settings": {**SETTINGS, "weight_decay": 0.0, "parallel": "fsdp"}, "accumulate": 1},
        },
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def run_group(size: int, path: Path, repository: Path) -> dict[str, Any]:
    """Have a job done by so many ranks."""
    surroundings = {
        **os.environ,
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(repository),
    }
    command = [sys.executable, "-W", "error", training_ranks.__file__, str(path)]
    logs = [path.with_name(f"{path.stem}-{rank}.log") for rank in range(size)]
    ranks = []
    for rank, log in enumerate(logs):
        with log.open("wb") as stream:
            here = {**surroundings, "RANK": str(rank), "LOCAL_RANK": str(rank)}
            ranks.append(subprocess.Popen(command, env=here, cwd=repository, stderr=stream, stdout=stream))
    codes = [one.wait(600) for one in ranks]
    assert not any(codes), "\n".join(log.read_text()[-3000:] for log in logs)
    found: dict[str, Any] = json.loads(path.with_suffix(".out").read_text())
    return found


class Groups:
    """What groups of ranks told of the same job; each group works once."""

    def __init__(self, root: CorpusRoot, folder: Path, repository: Path) -> None:
        self._root, self._folder, self._repository = root, folder, repository
        self._told: dict[int, dict[str, Any]] = {}

    def runs(self, size: int) -> Path:
        """Where the runs of a group lie."""
        return self._folder / f"runs-{size}"

    def told(self, size: int) -> dict[str, Any]:
        """What a group of so many ranks told; the group of one is this process."""
        if size not in self._told:
            self._told[size] = {}  # a group that fails does not work again for each test
            content = job(self._root.url, self.runs(size))
            if size == 1:
                self._told[1] = training_ranks.everything(content, Ranks(torch.device("cpu")))
            else:
                path = self._folder / f"job-{size}.json"
                path.write_text(json.dumps(content))
                self._told[size] = run_group(size, path, self._repository)
        return self._told[size]


@pytest.fixture(scope="session")
def groups(
    tokenizer: Tokenizer,
    corpus_writer: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
) -> Groups:
    """Groups that train on one small corpus."""
    folder = tmp_path_factory.mktemp("groups")
    root = CorpusRoot(str(folder / "corpus"))
    corpus_writer(root, tokenizer)
    return Groups(root, folder, repository)
