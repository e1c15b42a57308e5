"""One rank of a group that trains small models in many ways, one after another, and tells what came of it.

Started as `training_ranks.py JOB`, with the environment that `torchrun` would give; the first rank writes `<JOB>.out`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from training.loop.learner import Learner
from training.loop.optimizer import build_optimizer
from training.loop.parallel import build_trainee
from training.loop.prepare import prepare_run
from training.loop.step import MicroBatch, train_step
from training.loop.validation import validate
from training.model.loss import IGNORED_LABEL
from training.process_group import Ranks, join_ranks

RAGGED = ModelConfig(vocabulary_size=50, context=16, layers=2, heads=2, width=16, band=4)


def digest(model: torch.nn.Module) -> str:
    """A hash of all weights, whole."""
    found = hashlib.blake2b(digest_size=16)
    for value in model.state_dict().values():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        found.update(whole.detach().numpy().tobytes())
    return found.hexdigest()


def trained(root: str, run: str, settings: dict[str, Any], steps: list[int], ranks: Ranks) -> dict[str, Any]:
    """Train up to each of `steps` in turn, each time from the checkpoint of the one before."""
    rows: list[list[float]] = []
    config = TrainConfig.model_validate({**settings, "steps": max(steps)})
    for stop in steps:
        learner = Learner(prepare_run(config, root, "main", run), ranks)
        with closing(learner):
            while learner.step < stop:
                result = learner.advance(learner.read()).result
                rows.append([result.loss, result.gradient_norm])
            learner.save(wait=True)
            found = validate(learner.trainee.gpt, learner.validation, 10, "fp32", ranks)
            weights = digest(learner.trainee.gpt)
    assert found is not None
    return {"rows": rows, "validation": found.loss, "weights": weights, "kind": type(learner.trainee.model).__name__}


def ragged(settings: dict[str, Any], ranks: Ranks, accumulate: int) -> dict[str, Any]:
    """One step on sequences of which very different numbers of tokens count."""
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randint(0, 50, (2, 8, 16), generator=generator)
    labels[torch.rand(8, 16, generator=generator) < 0.4] = IGNORED_LABEL
    labels[:3, 1:] = IGNORED_LABEL
    rows = 8 // ranks.size
    mine = slice(ranks.rank * rows, (ranks.rank + 1) * rows)
    size = max(1, rows // accumulate)
    parts = zip(torch.split(inputs[mine], size), torch.split(labels[mine], size), strict=True)
    config = TrainConfig.model_validate({**settings, "optimizer": "sgd", "learning_rate": 0.1, "beta1": 0.0})
    trainee = build_trainee(config, RAGGED, ranks)
    result = train_step(
        trainee.model,
        build_optimizer(trainee.gpt, config),
        [MicroBatch(one, two, ranks.rank * rows + number * size) for number, (one, two) in enumerate(parts)],
        gradient_clip=0.5,
        precision="fp32",
        seed=0,
        step=1,
        ranks=ranks,
    )
    weights = [v.full_tensor() if isinstance(v, DTensor) else v for v in trainee.gpt.state_dict().values()]
    return {
        "rows": [[result.loss, result.gradient_norm]],
        "tokens": result.tokens,
        "sums": [float(value.double().square().sum()) for value in weights],
    }


def everything(job: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """All that a job asks for, by name."""
    found: dict[str, Any] = {}
    for name, one in job["trained"].items():
        found[name] = trained(job["root"], f"{job['runs']}/{name}", one["settings"], one["steps"], ranks)
    for name, one in job["ragged"].items():
        found[name] = ragged(one["settings"], ranks, one["accumulate"])
    return found


def main() -> None:
    """Do a job as one of the ranks."""
    path = Path(sys.argv[1])
    job = json.loads(path.read_text())
    torch.set_num_threads(1)
    with join_ranks("cpu", 300) as ranks:
        found = everything(job, ranks)
        agreed = ranks.everyone(found)
        assert all(one == agreed[0] for one in agreed), "ranks tell different things"
        if ranks.is_main:
            path.with_suffix(".out").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
