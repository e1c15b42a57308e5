"""Every convention of scoring against one that is computed by itself, a forward pass a token and without a cache."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from schemas.tasks import GenerationItem, MultipleChoiceItem, TaskSpec, TextItem
from training.checkpoints import LoadedModel, load_model
from training.evaluation.choice_scoring import NORMALIZATIONS, score_choices, score_cloze
from training.evaluation.results import ItemRecord
from training.evaluation.scoring import score_generation
from training.evaluation.steps import Steps, finish
from training.evaluation.task_rows import TaskRows
from training.evaluation.text_scoring import estimate_texts, score_texts
from training.generation.tokens import encode

STORY = "the a red old small cat dog bird sees likes follows house tree road in on near quickly often never"
WORDS = STORY.split()


@pytest.fixture(scope="module")
def loaded(shared_run: str) -> LoadedModel:
    return load_model(shared_run)


def nats(loaded: LoadedModel, context: str, answer: str) -> float:
    """Log-likelihood of `answer` after `context`, which does not end with white space."""
    ids = [loaded.end_of_text, *encode(loaded.tokenizer, context)]
    total = 0.0
    for token in encode(loaded.tokenizer, answer):
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([ids]))[0, -1].double()
        total += float(logits[token] - logits.logsumexp(0))
        ids.append(token)
    return total


ITEMS = [
    MultipleChoiceItem(
        id=str(i),
        context=" ".join(WORDS[i % 5 : i % 5 + 2 + i % 3]),
        choices=tuple(" ".join(WORDS[(i + j) % 20 : (i + j) % 20 + 1 + j % 2]) + "é" * (j % 2) for j in range(3)),
        answer=i % 3,
    )
    for i in range(14)
]
PARTIAL = [
    MultipleChoiceItem(
        id=str(i), contexts=(" ".join(WORDS[i : i + 2]), WORDS[i]), choices=(WORDS[i + 2], WORDS[i + 2]), answer=0
    )
    for i in range(6)
]
CHOICE = TaskSpec(
    name="t", kind="multiple_choice", items="-", examples="-", separator="\n", normalization="unconditional"
)


def rows(spec: TaskSpec, items: list[MultipleChoiceItem] | list[GenerationItem]) -> TaskRows:
    return TaskRows(spec=spec, items=items, examples=items, seed=3)


def test_all_conventions_of_multiple_choice(loaded: LoadedModel) -> None:
    records = finish(score_choices(loaded, rows(CHOICE, ITEMS), 0, 5))
    for item, record in zip(ITEMS, records, strict=True):
        sums = [nats(loaded, item.context, f" {choice}") for choice in item.choices]
        alone = [nats(loaded, "Answer:", f" {choice}") for choice in item.choices]
        wanted = {
            "sum": sums,
            "token": [s / len(encode(loaded.tokenizer, f" {c}")) for s, c in zip(sums, item.choices, strict=True)],
            "character": [s / len(c) for s, c in zip(sums, item.choices, strict=True)],
            "byte": [s / len(c.encode()) for s, c in zip(sums, item.choices, strict=True)],
            "unconditional": [s - a for s, a in zip(sums, alone, strict=True)],
        }
        for norm in NORMALIZATIONS:
            assert record.detail["log_likelihood"][norm] == pytest.approx(wanted[norm], abs=1e-3), norm
            best = max(range(3), key=wanted[norm].__getitem__)
            assert record.metrics[f"accuracy_{norm}"] == (best == item.answer)
        assert record.metrics["accuracy"] == record.metrics["accuracy_unconditional"]
    assert len({tuple(r.metrics[f"accuracy_{norm}"] for r in records) for norm in NORMALIZATIONS}) >= 3


def test_beginnings_of_one_ending_are_compared_by_the_ending(loaded: LoadedModel) -> None:
    records = finish(score_choices(loaded, rows(CHOICE, PARTIAL), 0, 4))
    for item, record in zip(PARTIAL, records, strict=True):
        wanted = [nats(loaded, context, f" {item.choices[0]}") for context in item.contexts]
        assert record.detail["log_likelihood"]["sum"] == pytest.approx(wanted, abs=1e-3)
        assert record.metrics["accuracy_unconditional"] == record.metrics["accuracy_sum"]
    # The model has learned which word follows which: two words before are no worse than a wrong one.
    assert sum(record.metrics["accuracy"] for record in records) >= 4


CLOZE = TaskSpec(name="t", kind="cloze", items="-", examples="-", separator="\n")
MISSING = [GenerationItem(id=str(i), prompt=" ".join(WORDS[i : i + 3]), answers=(WORDS[i + 3],)) for i in range(15)]


def test_cloze_wants_all_tokens_of_the_word(loaded: LoadedModel) -> None:
    records = finish(score_cloze(loaded, rows(CLOZE, MISSING), 0, 4))
    for item, record in zip(MISSING, records, strict=True):
        ids, hits = [loaded.end_of_text, *encode(loaded.tokenizer, item.prompt)], []
        for token in encode(loaded.tokenizer, f" {item.solution}"):
            with torch.inference_mode():
                hits.append(int(loaded.model(torch.tensor([ids]))[0, -1].argmax()) == token)
            ids.append(token)
        wanted = nats(loaded, item.prompt, f" {item.solution}")
        assert record.metrics["accuracy"] == all(hits)
        assert record.metrics["accuracy_last_token"] == hits[-1]
        assert record.metrics["log_likelihood"] == pytest.approx(wanted, abs=1e-3)
        assert record.metrics["bits_per_byte"] == pytest.approx(-wanted / math.log(2) / len(item.solution), abs=1e-3)


def test_a_text_is_scored_by_itself_in_rolling_windows(loaded: LoadedModel) -> None:
    long = " ".join(WORDS * 3)
    texts = [TextItem(id="a", text=long), TextItem(id="b", text="the red é"), TextItem(id="c", text=long[:70])]
    spec = TaskSpec(name="t", kind="perplexity", items="-", given=20)
    records = finish(score_texts(loaded, TaskRows(spec=spec, texts=texts, seed=0), 2))
    assert records[1].metrics["log_likelihood"] == pytest.approx(nats(loaded, "", "the red é"), abs=1e-3)
    ids, context, total = [loaded.end_of_text, *encode(loaded.tokenizer, long)], 32, 0.0
    assert len(ids) > 2 * context
    # Windows end at 32, 45, 58, … tokens: after the first, thirteen new ones with twenty before them.
    ends = [*range(context, len(ids) - 1, context - 19), len(ids) - 1]
    for place in range(1, len(ids)):
        end = next(end for end in ends if end >= place)
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([ids[max(0, end - context) : place]]))[0, -1].double()
        total += float(logits[ids[place]] - logits.logsumexp(0))
    assert records[0].metrics["log_likelihood"] == pytest.approx(total, abs=1e-3)
    bits, others = estimate_texts(records)
    whole = -sum(record.metrics["log_likelihood"] for record in records)
    assert bits.value == pytest.approx(whole / math.log(2) / sum(len(text.text.encode()) for text in texts))
    assert others["word_perplexity"] == pytest.approx(math.exp(whole / sum(len(t.text.split()) for t in texts)))
    assert bits.standard_error is not None


DRAWN = TaskSpec(name="t", kind="generation", items="-", temperature=1.0, samples=4, stop=(" ",), max_tokens=6)


def test_drawn_answers_depend_on_item_and_seed_alone(loaded: LoadedModel) -> None:
    task = rows(DRAWN, MISSING[:6])
    first = finish(score_generation(loaded, task, 0, 4))
    alone = finish(score_generation(loaded, replace(task, items=task.items[2:3]), 0, 1))
    assert alone == [first[2]]
    assert finish(score_generation(loaded, replace(task, seed=4), 0, 4)) != first
    drawn = [record.detail["generated"] for record in first]
    assert all(len(own) == 4 for own in drawn)
    assert any(len(set(own)) > 1 for own in drawn)
    for item, record in zip(MISSING, first, strict=False):
        assert record.metrics["exact_match"] == record.detail["generated"].count(item.solution) / 4
    # A likely word is drawn more often than one in twenty.
    assert sum(record.metrics["exact_match"] for record in first) / 6 > 0.2


@pytest.mark.parametrize("shots", [0, 2])
def test_no_item_depends_on_the_batch(loaded: LoadedModel, shots: int) -> None:
    generation = TaskSpec(name="t", kind="generation", items="-", examples="-", separator="\n", stop=(" ",))

    def of(batch: int) -> list[Steps[list[ItemRecord]]]:
        return [
            score_choices(loaded, rows(CHOICE, ITEMS), shots, batch),
            score_choices(loaded, rows(CHOICE, PARTIAL), shots, batch),
            score_cloze(loaded, rows(CLOZE, MISSING), shots, batch),
            score_generation(loaded, rows(generation, MISSING), shots, batch),
        ]

    for one, seven, many in zip(*(map(finish, of(batch)) for batch in (1, 7, 64)), strict=True):
        for left, middle, right in zip(one, seven, many, strict=True):
            for other in (middle, right):
                assert {k: v for k, v in left.metrics.items() if "bits" not in k and "likelihood" not in k} == {
                    k: v for k, v in other.metrics.items() if "bits" not in k and "likelihood" not in k
                }
                assert left.metrics == pytest.approx(other.metrics, abs=1e-4)
                assert left.detail.get("generated") == other.detail.get("generated")
                for norm, values in left.detail.get("log_likelihood", {}).items():
                    assert values == pytest.approx(other.detail["log_likelihood"][norm], abs=1e-4)
