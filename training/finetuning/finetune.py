"""Fine-tuning a model of a run on prompt/answer pairs.

Writes a run folder of its own, like pretraining's, with one checkpoint at the end, and `finetune.json` last: with it
the run is finished. An interrupted run is done again from its start, with the same result.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.configs.finetune import FinetuneConfig
from schemas.configs.train import TrainConfig
from schemas.errors import InputError
from schemas.manifest import fingerprint
from schemas.run import RunConfig, latest_step, read_run, require_run, require_same_run, write_run
from schemas.storage import Folder, open_input
from schemas.tasks import Pair, read_rows
from training.checkpoints import CheckpointState, LoadedModel, load_model, save
from training.finetuning.pair_scores import Change, PairScore, compare, score_constant, score_pairs
from training.finetuning.samples import Sample, collate, encode_pairs, pairs_of_step
from training.loop.interruption import hold_run
from training.loop.optimizer import build_optimizer
from training.loop.run_log import METRICS_NAME, RunLog
from training.loop.schedule import learning_rate
from training.loop.step import MicroBatch, train_step

__all__ = ["FinetuneResult", "ItemResult", "finetune"]

RESULT_NAME, ITEMS_NAME = "finetune.json", "finetune-items.jsonl"
FINETUNE_VERSION = 1


class FinetuneResult(BaseModel):
    """What `finetune.json` says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = FINETUNE_VERSION
    fingerprint: str
    run: str
    base: str
    base_step: int
    steps: int
    pairs: int
    truncated: int = Field(description="pairs cut from the left to fit in the context")
    loss: float = Field(description="of the last step, nats per answer token")
    test_pairs: int
    scores: dict[str, Change] = Field(description="by metric; empty without test pairs")
    constant: dict[str, float] = Field(description="metrics of always giving the commonest training answer")
    seconds: float


class ItemResult(BaseModel):
    """One line of `finetune-items.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    answer: str
    before: PairScore
    after: PairScore


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Everything that is known before a model is loaded."""

    base: str
    base_step: int
    out: str
    config: FinetuneConfig
    pairs: list[Pair]
    test: list[Pair]
    description: RunConfig
    steps: int

    def mark(self) -> str:
        """Fingerprint of all that decides the result."""
        test = [pair.model_dump(mode="json") for pair in self.test]
        scoring = {"max_tokens": self.config.max_tokens, "stop": self.config.stop}
        run = self.description.model_dump(mode="json", exclude={"root", "mixture", "base"})
        return fingerprint({"version": FINETUNE_VERSION, "run": run, "test": test, "scoring": scoring})


def _silent(message: str) -> None:
    """Says nothing."""


def _digest(url: str) -> str:
    with open_input(url) as stream:
        return hashlib.blake2b(stream.read(), digest_size=32).hexdigest()


def _prepare(base: str, data: str, out: str, config: FinetuneConfig, test: str | None) -> _Job:
    parent = require_run(base)
    step = latest_step(base) if config.step is None else config.step
    if step is None:
        raise InputError(f"{base} has no checkpoint yet; let `corpusmill train --run {base}` reach its first one")
    if Path(base).resolve() == Path(out).resolve():
        raise InputError(f"--out {out} is the run to start from; give another folder")
    pairs = read_rows(data, Pair)
    tests = read_rows(test, Pair)[: config.test_limit] if test else []
    steps = max(1, math.ceil(config.epochs * len(pairs) / config.batch))
    settings = config.fingerprint_view()
    for name in ("step", "test_limit", "max_tokens", "stop"):
        del settings[name]
    origin = fingerprint(parent.model_dump(mode="json", exclude={"root", "mixture"}))
    known = {"base_step": step, "base_run": origin, "data": _digest(data), "steps": steps}
    description = parent.model_copy(
        update={"kind": "finetune", "base": str(Path(base).resolve()), "settings": {**settings, **known}}
    )
    return _Job(
        base=base,
        base_step=step,
        out=out,
        config=config,
        pairs=pairs,
        test=tests,
        description=description,
        steps=steps,
    )


def _train(job: _Job, loaded: LoadedModel, samples: Sequence[Sample], say: Callable[[str], None]) -> float:
    """Train `loaded.model` in place, write metrics and the checkpoint; gives the last loss."""
    config = job.config
    recipe = TrainConfig(
        learning_rate=config.learning_rate,
        warmup_tokens=int(config.warmup_share * job.steps),  # the schedule counts steps here
        final_share=config.final_share,
        weight_decay=config.weight_decay,
    )
    model = loaded.model.train()
    optimizer = build_optimizer(model, recipe)
    log = RunLog(job.out, METRICS_NAME, 0)
    device = next(model.parameters()).device
    tokens, loss = 0, math.nan
    for step in range(1, job.steps + 1):
        began = time.perf_counter()
        rate = learning_rate(recipe, step, job.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = pairs_of_step(step - 1, config.batch, len(samples), config.seed)
        inputs, labels = collate([samples[index] for index in chosen])
        result = train_step(
            model,
            optimizer,
            [MicroBatch(inputs.to(device), labels.to(device))],
            gradient_clip=config.gradient_clip,
            precision=config.precision,
            seed=config.seed,
            step=step,
        )
        tokens, loss = tokens + result.tokens, result.loss
        seconds = round(time.perf_counter() - began, 6)
        log.append({"step": step, "tokens": tokens, "loss": loss, "learning_rate": rate, "seconds": seconds})
        if step == job.steps or step % max(1, job.steps // 10) == 0:
            say(f"step {step}/{job.steps}  loss {loss:.3f}  lr {rate:.1e}")
    model.eval()
    state = CheckpointState(
        step=job.steps,
        tokens=tokens,
        plan_digest=job.description.plan_digest,
        data={"sample": job.steps * config.batch},
        seed=config.seed,
    )
    save(job.out, state, model)
    return loss


def _items(job: _Job, before: Sequence[PairScore], after: Sequence[PairScore]) -> str:
    rows = zip(job.test, before, after, strict=True)
    return "".join(
        ItemResult(prompt=pair.prompt, answer=pair.answer, before=old, after=new).model_dump_json() + "\n"
        for pair, old, new in rows
    )


def _finished(job: _Job) -> FinetuneResult | None:
    stored = read_run(job.out)
    if stored is None:
        return None
    require_same_run(job.out, stored, job.description)
    folder = Folder(job.out)
    if not folder.exists(RESULT_NAME):
        return None
    result = FinetuneResult.model_validate_json(folder.read(RESULT_NAME))
    return result if result.fingerprint == job.mark() else None


def _run(job: _Job, say: Callable[[str], None]) -> FinetuneResult:
    started = time.monotonic()
    folder = Folder(job.out)
    folder.remove(RESULT_NAME)
    shutil.rmtree(Path(job.out) / "checkpoints", ignore_errors=True)
    loaded = load_model(job.base, job.base_step)
    folder.put_whole("tokenizer.json", Folder(job.base).read("tokenizer.json"))
    write_run(job.out, job.description)
    samples = encode_pairs(
        job.pairs, loaded.tokenizer, job.config.delimiter, loaded.end_of_text, loaded.model_config.context
    )
    before = score_pairs(loaded, job.test, job.config) if job.test else []
    loss = _train(job, loaded, samples, say)
    after = score_pairs(loaded, job.test, job.config) if job.test else []
    result = FinetuneResult(
        fingerprint=job.mark(),
        run=job.out,
        base=job.base,
        base_step=job.base_step,
        steps=job.steps,
        pairs=len(job.pairs),
        truncated=sum(sample.truncated for sample in samples),
        loss=loss,
        test_pairs=len(job.test),
        scores=compare(job.test, before, after) if job.test else {},
        constant=score_constant(job.pairs, job.test) if job.test else {},
        seconds=round(time.monotonic() - started, 3),
    )
    folder.put_whole(ITEMS_NAME, _items(job, before, after).encode("utf-8"))
    folder.put_whole(RESULT_NAME, result.model_dump_json(indent=1).encode("utf-8"))
    return result


def finetune(
    base: str,
    data: str,
    out: str,
    config: FinetuneConfig,
    test: str | None = None,
    say: Callable[[str], None] = _silent,
) -> FinetuneResult:
    """Fine-tune, unless `out` holds the finished result of the same base, data and settings.

    Args:
        base: the run to start from.
        data: JSONL of pairs to train on.
        out: folder of the new run.
        config: how.
        test: JSONL of pairs that are answered before and after.
        say: is told how far it is.

    Raises:
        InputError: a file or the base run is missing, or a row is wrong (file and line are named).
        ConfigError: `out` holds another run.
        LeaseError: another process works in `out`.
        OutputError: `out` cannot be written.
    """
    job = _prepare(base, data, out, config, test)
    done = _finished(job)
    if done is not None:
        return done
    Folder(out).make()
    with hold_run(out):
        return _finished(job) or _run(job, say)
