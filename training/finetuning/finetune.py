"""Fine-tuning a model of a run on prompt/answer pairs: all of its weights, or a LoRA adapter.

Writes a run folder of its own, like pretraining's, with one checkpoint at the end, and `finetune.json` last: with it
the run is finished. An interrupted run is done again from its start, with the same result. With `method = "lora"`,
`<out>/adapter/` has the adapter as `peft` reads it, and the checkpoint has it merged.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.configs.finetune import FinetuneConfig
from schemas.run import read_run, require_same_run, write_run
from schemas.storage import Folder
from training.checkpoints import CheckpointState, LoadedModel, load_model, save
from training.evaluation.results import EvaluationResult, Score
from training.finetuning.adapter_files import write_adapter
from training.finetuning.forgetting import compare_text, score_text
from training.finetuning.job import Job, Sources, prepare
from training.finetuning.learn import Learned, learn
from training.finetuning.lora import add_adapters, merge_adapters
from training.finetuning.pair_scores import PairScore, compare, score_constant, score_pairs
from training.finetuning.result import ITEMS_NAME, RESULT_NAME, FinetuneResult, ItemResult
from training.finetuning.samples import encode_pairs
from training.finetuning.suite_scores import Records, compare_suites, score_suite
from training.loop.interruption import hold_run

__all__ = ["finetune"]


def _silent(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class _Scores:
    """All that is measured before and after."""

    pairs: list[PairScore]
    text: Score | str
    suite: tuple[EvaluationResult, Records] | None


def _score(job: Job, loaded: LoadedModel, run: str, say: Callable[[str], None]) -> _Scores:
    """Take the scores of a model; the suite's are of the newest checkpoint that it came from, or is in."""
    config, suite = job.config, job.sources.suite
    step = job.base_step if run == job.sources.base else None
    return _Scores(
        score_pairs(loaded, job.test, config) if job.test else [],
        score_text(loaded, config.forgetting_windows, config.score_batch),
        None if suite is None else score_suite(run, step, suite, config, say),
    )


def _train(job: Job, loaded: LoadedModel, say: Callable[[str], None]) -> tuple[Learned, int]:
    """Train `loaded.model` in place and save it; gives how it went, and how many pairs did not fit the context."""
    config, context = job.config, loaded.model_config.context
    samples, validation = (
        encode_pairs(pairs, loaded.tokenizer, config.delimiter, loaded.end_of_text, context)
        for pairs in (job.pairs, job.validation)
    )
    if config.method == "lora":
        add_adapters(loaded.model, config.lora, config.seed)
    learned = learn(job, loaded.model, samples, validation, say)
    if config.method == "lora":
        write_adapter(job.out, loaded.model, config.lora)
        merge_adapters(loaded.model)
    step = learned.steps if learned.best_step is None else learned.best_step
    state = CheckpointState(
        step=step,
        tokens=learned.tokens,
        plan_digest=job.description.plan_digest,
        data={"sample": step * config.batch},
        seed=config.seed,
    )
    save(job.out, state, loaded.model)
    return learned, sum(sample.truncated for sample in samples)


def _items(job: Job, before: Sequence[PairScore], after: Sequence[PairScore]) -> str:
    rows = zip(job.test, before, after, strict=True)
    return "".join(
        ItemResult(prompt=pair.prompt, answer=pair.answer, before=old, after=new).model_dump_json() + "\n"
        for pair, old, new in rows
    )


def _finished(job: Job) -> FinetuneResult | None:
    stored = read_run(job.out)
    if stored is None:
        return None
    require_same_run(job.out, stored, job.description)
    folder = Folder(job.out)
    if not folder.exists(RESULT_NAME):
        return None
    result = FinetuneResult.model_validate_json(folder.read(RESULT_NAME))
    return result if result.fingerprint == job.mark() else None


def _result(
    job: Job, learned: Learned, truncated: int, before: _Scores, after: _Scores, began: float
) -> FinetuneResult:
    both = before.suite is not None and after.suite is not None
    return FinetuneResult(
        fingerprint=job.mark(),
        run=job.out,
        base=job.sources.base,
        base_step=job.base_step,
        method=job.config.method,
        steps=learned.steps,
        planned_steps=job.steps,
        best_step=learned.best_step,
        validation_losses=tuple(learned.validation_losses),
        pairs=len(job.pairs),
        tokens=learned.tokens,
        truncated=truncated,
        loss=learned.loss,
        parameters=job.description.model.num_parameters(),
        trainable_parameters=learned.trainable_parameters,
        state_bytes=learned.state_bytes,
        memory_bytes=learned.memory_bytes,
        test_pairs=len(job.test),
        scores=compare(job.test, before.pairs, after.pairs) if job.test else {},
        constant=score_constant(job.pairs, job.test) if job.test else {},
        suite=compare_suites(before.suite, after.suite) if both else (),  # type: ignore[arg-type]
        forgetting=compare_text(before.text, after.text),
        training_seconds=round(learned.seconds, 3),
        seconds=round(time.monotonic() - began, 3),
    )


def _run(job: Job, say: Callable[[str], None]) -> FinetuneResult:
    began, folder = time.monotonic(), Folder(job.out)
    folder.remove(RESULT_NAME)
    shutil.rmtree(Path(job.out) / "checkpoints", ignore_errors=True)
    loaded = load_model(job.sources.base, job.base_step)
    folder.put_whole("tokenizer.json", Folder(job.sources.base).read("tokenizer.json"))
    write_run(job.out, job.description)
    before = _score(job, loaded, job.sources.base, say)
    learned, truncated = _train(job, loaded, say)
    after = _score(job, loaded, job.out, say)
    result = _result(job, learned, truncated, before, after, began)
    folder.put_whole(ITEMS_NAME, _items(job, before.pairs, after.pairs).encode("utf-8"))
    folder.put_whole(RESULT_NAME, result.model_dump_json(indent=1).encode("utf-8"))
    return result


def finetune(
    sources: Sources, out: str, config: FinetuneConfig, say: Callable[[str], None] = _silent
) -> FinetuneResult:
    """Fine-tune, unless `out` holds the finished result of the same base, data and settings.

    Args:
        sources: the run to start from, and the files.
        out: folder of the new run.
        config: how.
        say: is told how far it is.

    Raises:
        InputError: a file or the base run is missing, or a row is wrong (file and line are named).
        ConfigError: `out` holds another run, or the suite is malformed.
        LeaseError: another process works in `out`.
        OutputError: `out` cannot be written.
    """
    job = prepare(sources, out, config)
    done = _finished(job)
    if done is not None:
        return done
    Folder(out).make()
    with hold_run(out):
        return _finished(job) or _run(job, say)
