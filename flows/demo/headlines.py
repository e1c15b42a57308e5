"""One line on how a step ended, of the numbers that a reader wants first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flows.steps import StepResult

__all__ = ["headline"]

Result = dict[str, Any]


def _sum(result: Result, part: str, name: str) -> int:
    return sum(int(unit[part].get(name, 0)) for unit in result.get("units", []))


def _crawl(result: Result) -> str:
    return f"{_sum(result, 'counts', 'pages'):,} pages, {_sum(result, 'counts', 'bytes') / 1e6:.1f} MB"


def _clean(result: Result) -> str:
    kept, dropped, dead = (_sum(result, "rows", table) for table in ("documents", "dropped", "dead"))
    return f"kept {kept:,} of {kept + dropped + dead:,} ({dropped:,} dropped by rule, {dead:,} unreadable)"


def _dedup(result: Result) -> str:
    return f"{_sum(result, 'rows', 'duplicates'):,} documents repeat others"


def _decontaminate(result: Result) -> str:
    cut, dropped, dirty = (
        _sum(result, "counts", name) for name in ("cut_documents", "dropped_documents", "dirty_items")
    )
    return f"{cut:,} documents cut, {dropped:,} dropped; {dirty:,} evaluation items are dirty"


def _tokenizer(result: Result) -> str:
    size = _sum(result, "counts", "vocabulary_size")
    return f"{size:,} tokens, learned from {_sum(result, 'counts', 'sample_documents'):,} documents"


def _tokenize(result: Result) -> str:
    train, validation, test = (_sum(result, "counts", f"tokens_{split}") for split in ("train", "validation", "test"))
    return f"{train:,} tokens to train on, {validation:,} for validation, {test:,} for tests"


def _mix(result: Result) -> str:
    samples, windows = (_sum(result, "counts", name) for name in ("samples", "windows_train"))
    return f"{samples:,} samples from {windows:,} windows"


def _heldout(result: Result) -> str:
    counts = [unit["counts"] for unit in result.get("units", [])]
    items = [number for one in counts for name, number in one.items() if name.startswith("items_") and number]
    return f"{sum(items):,} items in {len(items)} tasks, {_sum(result, 'counts', 'pairs_train'):,} training pairs"


def _digest(result: Result) -> str:
    return str(result.get("digest", ""))


def _pretrain(result: Result) -> str:
    validation = result.get("validation_loss")
    more = "" if validation is None else f", validation {validation:.3f}"
    return f"{result.get('steps')} steps, loss {result.get('loss', float('nan')):.3f}{more}"


def _evaluate(result: Result) -> str:
    scores = [score for score in result.get("scores", []) if score["value"] is not None]
    named = [f"{score['task']} {score['shots']}-shot {score['value']:.3f}" for score in scores]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more scores" if len(named) > 3 else "")


def _finetune(result: Result) -> str:
    scores = result.get("scores", {})
    changes = [f"{name} {one['before']['value']:.3f} → {one['after']['value']:.3f}" for name, one in scores.items()]
    return ", ".join([f"{result.get('pairs', 0):,} pairs", *changes])


def _report(result: Result) -> str:
    return str(result.get("report", ""))


def _prefect(result: Result) -> str:
    return f"server at {result['url']}"


_HEADLINES: dict[str, Callable[[Result], str]] = {
    "prefect": _prefect,
    "crawl": _crawl,
    "clean": _clean,
    "dedup": _dedup,
    "decontaminate": _decontaminate,
    "tokenizer": _tokenizer,
    "tokenize": _tokenize,
    "mix": _mix,
    "heldout": _heldout,
    "digest": _digest,
    "pretrain": _pretrain,
    "evaluate": _evaluate,
    "finetune": _finetune,
    "report": _report,
}


def headline(outcome: StepResult) -> str:
    """Seconds, and the step's own numbers; of a step that was left out, the reason."""
    if outcome.status == "left out":
        return f"left out: {outcome.reason}"
    took = f"{outcome.seconds:.1f} s" if outcome.status == "done" else "done before"
    describe = _HEADLINES.get(outcome.step)
    return f"{took:>11}  {describe(outcome.result) if describe else ''}".rstrip()
