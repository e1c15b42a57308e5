"""The model card of an export: data, tokens, recipe, scores, contamination and cost, as Markdown.

The sections are those of Mitchell et al. 2019, "Model Cards for Model Reporting", as far as records tell of them. Every
number is one that a stage or a run wrote down; what nobody wrote down is said to be unknown. The head is what Hugging
Face's hub reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.evaluation.results import Score
from training.export.card_facts import CardFacts, RunFacts
from training.planner.flops import flops_per_token

__all__ = ["CARD_NAME", "model_card"]

CARD_NAME = "README.md"
_LARGEST = 5  # reasons for which most documents went
# Of settings, what says where files lie or how a process went about it.
_LEFT_OUT = frozenset({"data", "validation", "base_run", "weights"})


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in line)} |" for line in lines]


def _number(value: float | None, error: float | None = None) -> str:
    shown = "–" if value is None else f"{value:.4g}"
    return shown if error is None or value is None else f"{shown} ± {error:.2g}"


def _head(facts: CardFacts) -> list[str]:
    tags = ["corpusmill", "gpt3", *(["lora"] if facts.runs[0].config.settings.get("method") == "lora" else [])]
    return [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        f"tags: {json.dumps(tags)}",
        "---",
        "",
        f"# {facts.runs[0].name}",
        "",
    ]


def _model(facts: CardFacts) -> list[str]:
    model, run = facts.model, facts.runs[0]
    bands = [model.band_of_layer(layer) for layer in range(model.layers)]
    banded = sum(band is not None for band in bands)
    attention = f"{banded} of them see a band of {model.band} tokens" if banded else "all dense"
    code = ", trust_remote_code=True" if facts.layout == "corpusmill" else ""
    return [
        f"A GPT-3 model of {model.num_parameters():,} parameters: {model.layers} layers ({attention}), "
        f"width {model.width}, {model.heads} heads, context {model.context:,}, {model.vocabulary_size:,} tokens. "
        f"Step {run.step} of the run `{run.name}`. Everything below was read from the records of its runs and its "
        "corpus when it was exported.",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        f'model = AutoModelForCausalLM.from_pretrained("FOLDER"{code})',
        "```",
        "",
        f"A text begins after id {run.config.end_of_text} (end-of-text), as in training.",
        "",
    ]


def _largest(reasons: Mapping[str, int]) -> str:
    chosen = sorted(((name, count) for name, count in reasons.items() if count), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} {count:,}" for name, count in chosen[:_LARGEST])


def _data(facts: CardFacts) -> list[str]:
    lines = ["## Data", ""]
    if facts.plan is None:
        return [*lines, "Unknown: the model came from elsewhere, or its corpus was not at hand.", ""]
    plan = facts.plan
    headings = ["source", "documents", "tokens", "weight", "tokens trained on", "epochs"]
    lines += _table(
        headings,
        (
            [
                one.name,
                f"{one.documents:,}",
                f"{one.tokens:,}",
                f"{one.weight:.3f}",
                f"{one.seen:,.0f}",
                f"{one.epochs:.2f}",
            ]
            for one in facts.sources()
        ),
    )
    held = sum(stream.tokens for stream in (*plan.validation, *plan.test))
    lines += ["", f"{held:,} tokens were held out. Mixture `{plan.name}`, digest `{plan.digest()[:16]}`; tokenizer "]
    lines[-1] += f"`{plan.tokenizer}`, fingerprint `{plan.tokenizer_fingerprint[:16]}`."
    if facts.corpus is not None and facts.corpus.of("clean"):
        corpus = facts.corpus
        kept, items = corpus.count("clean", "documents"), corpus.count("clean", "items")
        lines += ["", f"Cleaning kept {kept:,} of {items:,} items"]
        reasons = {**corpus.counts_under("clean", "dropped."), **corpus.counts_under("clean", "dead.")}
        lines[-1] += f"; most others went for: {_largest(reasons)}." if any(reasons.values()) else "."
        copies = corpus.count("dedup", "exact_removed") + corpus.count("dedup", "near_removed")
        done = f"Deduplication removed {copies:,} documents." if corpus.of("dedup") else "It was not deduplicated."
        lines[-1] += f" {done}"
    return [*lines, ""]


def _contamination(facts: CardFacts) -> list[str]:
    lines = ["## Contamination", ""]
    decided = facts.corpus.of("decontaminate") if facts.corpus is not None else []
    if facts.corpus is None or not decided:
        return [*lines, "Unknown: no decontamination of the training text is on record.", ""]
    cut, dropped = (facts.corpus.count("decontaminate", name) for name in ("cut_documents", "dropped_documents"))
    lines += [
        f"Texts of evaluation sets were looked for in the corpus: {cut:,} documents were cut, {dropped:,} dropped."
    ]
    rows = [
        [
            *(score.task, score.shots, score.metric),
            *(_number(score.clean, score.clean_standard_error), score.clean_n),
            *(_number(score.dirty, score.dirty_standard_error), score.dirty_n),
        ]
        for result in facts.runs[0].results
        for score in result.scores
        if score.clean_n or score.dirty_n
    ]
    if rows:
        lines += ["", *_table(["task", "shots", "metric", "clean items", "n", "dirty items", "n"], rows)]
    return [*lines, ""]


def _settings(settings: Mapping[str, Any]) -> list[str]:
    shown = {name: value for name, value in settings.items() if name not in _LEFT_OUT and value is not None}
    return _table(["setting", "value"], ([name, f"`{json.dumps(value)}`"] for name, value in sorted(shown.items())))


def _loss(run: RunFacts) -> str:
    losses = [row["loss"] for row in run.rows if row.get("loss") is not None]
    validations = [row["validation_loss"] for row in run.rows if row.get("validation_loss") is not None]
    text = f"last training loss {losses[-1]:.4f}" if losses else "no loss on record"
    return f"{text}, last validation loss {validations[-1]:.4f}" if validations else text


def _recipe(facts: CardFacts) -> list[str]:
    lines = ["## Recipe", ""]
    for run in reversed(facts.runs):
        what = {"train": "Pretraining", "finetune": "Fine-tuning", "import": "Taken over"}[run.config.kind]
        unit = "answer tokens" if run.config.kind == "finetune" else "tokens"
        told = "" if run.config.kind == "import" else f": {run.step:,} steps, {run.tokens:,} {unit}, {_loss(run)}"
        lines += [f"**{what}** (`{run.name}`){told}.", "", *_settings(run.config.settings), ""]
    if facts.first.config.base is not None:
        lines += [f"The run that it came from, `{facts.first.config.base.rpartition('/')[2]}`, was not at hand.", ""]
    return lines


def _score_row(suite: str, score: Score) -> list[object]:
    found, before = _number(score.value, score.standard_error), _number(score.untrained, score.untrained_standard_error)
    return [suite, score.task, score.shots, score.metric, found, score.n, _number(score.chance), before]


def _scores(facts: CardFacts) -> list[str]:
    run, lines = facts.runs[0], ["## Scores", "", "± is one standard error.", ""]
    if run.results:
        headings = ["suite", "task", "shots", "metric", "score", "n", "chance", "untrained"]
        rows = (_score_row(result.suite, score) for result in run.results for score in result.scores)
        lines += [*_table(headings, rows), ""]
    if run.finetune is not None:
        lines += _changes(run.finetune)
    if not run.results and run.finetune is None:
        lines += ["None was taken of this checkpoint.", ""]
    return lines


def _changes(finetune: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    rows = [
        [
            name,
            *(_number(change[when]["value"], change[when]["standard_error"]) for when in ("before", "after", "change")),
        ]
        for name, change in finetune["scores"].items()
    ]
    if rows:
        lines += [f"On {finetune['test_pairs']:,} held-out pairs, before and after fine-tuning:", ""]
        lines += [*_table(["metric", "before", "after", "change"], rows), ""]
    text = finetune["forgetting"]
    if text["change"] is not None:
        before, after = (_number(text[one], text[f"{one}_standard_error"]) for one in ("before", "after"))
        about = f"Of held-out pretraining text ({text['tokens']:,} tokens)"
        lines += [f"{about} it gives {after} bits per byte; {before} before.", ""]
    return lines


def _cost(facts: CardFacts) -> list[str]:
    rows: list[list[object]] = []
    for run in reversed(facts.runs):
        if run.rows:
            memory = max((row.get("memory_bytes") or 0 for row in run.rows), default=0)
            peak = (run.finetune or {}).get("memory_bytes") or memory
            operations = ""
            if run.config.kind == "train":
                operations = f"{flops_per_token(facts.model, 'window') * run.tokens:.3g}"
            rows.append([run.name, f"{run.seconds:,.0f}", operations, f"{peak / 1e9:.2f}" if peak else "–"])
    lines = ["## Cost", ""]
    if rows:
        headings = ["run", "seconds in steps", "operations (matrix products, bands counted)", "peak memory, GB"]
        lines += [*_table(headings, rows), ""]
    if facts.corpus is not None and facts.corpus.units:
        seconds = sum(unit.seconds * unit.workers for unit in facts.corpus.units)
        lines += [f"Making the corpus took {seconds / 3600:.3g} core-hours.", ""]
    return lines if len(lines) > 2 else [*lines, "Unknown: no run with a record of its time was at hand.", ""]


def model_card(facts: CardFacts) -> str:
    """The card of an export, Markdown."""
    sections = (_head, _model, _data, _contamination, _recipe, _scores, _cost)
    return "\n".join(line for section in sections for line in section(facts)).rstrip() + "\n"
