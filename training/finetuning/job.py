"""What a fine-tuning run is, known before any model is loaded."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.configs.finetune import FinetuneConfig
from schemas.errors import ConfigError, InputError
from schemas.manifest import fingerprint
from schemas.run import RunConfig, latest_step, require_run
from schemas.storage import open_input
from schemas.suites import read_suite, suite_text
from schemas.tasks import Pair
from training.finetuning.pair_files import read_pairs

__all__ = ["FINETUNE_VERSION", "Job", "Sources", "prepare"]

FINETUNE_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a fine-tuning run reads from.

    Args:
        base: the run to start from.
        data: pairs to train on.
        test: pairs that are answered before and after; None for none.
        validation: pairs whose loss is taken on the way; None for none.
        suite: tasks that are scored before and after; None for none.
    """

    base: str
    data: str
    test: str | None = None
    validation: str | None = None
    suite: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """See the module's text; `steps` are those that are trained unless validation ends it before."""

    sources: Sources
    base_step: int
    out: str
    config: FinetuneConfig
    pairs: list[Pair]
    test: list[Pair]
    validation: list[Pair]
    description: RunConfig
    steps: int

    def mark(self) -> str:
        """Fingerprint of all that decides the result."""
        return fingerprint(
            {
                "version": FINETUNE_VERSION,
                "run": self.description.model_dump(mode="json", exclude={"root", "mixture", "base"}),
                "test": [pair.model_dump(mode="json") for pair in self.test],
                "suite": _suite_digests(self.sources.suite, self.config.suite_data),
                "measuring": self.config.model_dump(mode="json", include=set(self.config.measuring)),
            }
        )

    @property
    def validation_every(self) -> int:
        """Steps between two validations; 0 where there are none."""
        if not self.validation:
            return 0
        return self.config.validation_every or math.ceil(len(self.pairs) / self.config.batch)


def _digest(url: str) -> str:
    with open_input(url) as stream:
        return hashlib.blake2b(stream.read(), digest_size=32).hexdigest()


def _suite_digests(suite: str | None, data: str | None) -> list[str]:
    """A suite, and digests of all files that it names."""
    if suite is None:
        return []
    read = read_suite(suite, data)
    return [suite_text(read), *(_digest(path) for task in read.tasks for path in task.files)]


def _settings(config: FinetuneConfig) -> dict[str, Any]:
    """What of the settings decides about the weights."""
    left_out = {"step", *config.measuring, *([] if config.method == "lora" else ["lora"])}
    return {name: value for name, value in config.fingerprint_view().items() if name not in left_out}


def prepare(sources: Sources, out: str, config: FinetuneConfig) -> Job:
    """Read all that decides about a run.

    Raises:
        InputError: a file or the base run is missing, or a row is wrong (file and line are named).
        ConfigError: the suite is malformed, or patience waits for validations that are not there.
    """
    base = sources.base
    parent = require_run(base)
    step = latest_step(base) if config.step is None else config.step
    if step is None:
        raise InputError(f"{base} has no checkpoint yet; let `corpusmill train --run {base}` reach its first one")
    if Path(base).resolve() == Path(out).resolve():
        raise InputError(f"--out {out} is the run to start from; give another folder")
    pairs = read_pairs(sources.data, config)
    validation = read_pairs(sources.validation, config) if sources.validation else []
    if config.patience and not validation:
        raise ConfigError(
            f"finetune.patience is {config.patience}, and there is nothing to validate on; give --validation"
        )
    steps = max(1, math.ceil(config.epochs * len(pairs) / config.batch))
    known = {
        "base_step": step,
        "base_run": fingerprint(parent.model_dump(mode="json", exclude={"root", "mixture"})),
        "data": _digest(sources.data),
        "validation": _digest(sources.validation) if sources.validation else None,
        "steps": steps,
    }
    return Job(
        sources=sources,
        base_step=step,
        out=out,
        config=config,
        pairs=pairs,
        test=read_pairs(sources.test, config)[: config.test_limit] if sources.test else [],
        validation=validation,
        description=parent.model_copy(
            update={"kind": "finetune", "base": str(Path(base).resolve()), "settings": {**_settings(config), **known}}
        ),
        steps=steps,
    )
