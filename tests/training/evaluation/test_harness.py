"""lm-evaluation-harness on our model, and our own scores, on the same files: item by item."""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import ConfigError
from schemas.storage import Folder
from schemas.suites import Suite, read_suite, suite_text
from schemas.tasks import TaskSpec
from training.evaluation.evaluate import evaluate
from training.evaluation.harness import harness_model
from training.evaluation.results import EvaluationResult, ItemRecord, Score, read_records

pytest.importorskip("lm_eval")
# What the library and what it brings along warn of is theirs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

ITEMS, SHOTS = 10, 2
CHOICE = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
QUERY_AND_CHOICES = {"doc_to_text": "{{query}}\nAnswer:", "doc_to_choice": "{{choices}}", "doc_to_target": "{{gold}}"}
PLAIN = QUERY_AND_CHOICES | {"doc_to_text": "{{query}}"}
# Templates are the harness's Jinja, written apart from ours; names are those of our shipped tasks.
TASKS: dict[str, dict[str, Any]] = {
    "arc_easy": QUERY_AND_CHOICES,
    "arc_challenge": QUERY_AND_CHOICES,
    "boolq": QUERY_AND_CHOICES,
    "openbook_qa": PLAIN,
    "piqa": PLAIN | {"doc_to_text": "{{query}}Answer:"},
    "copa": PLAIN,
    "siqa": PLAIN,
    "commonsense_qa": PLAIN,
    "winogrande": {
        "doc_to_text": "{{gold}}",
        "doc_to_choice": "{{context_options}}",
        "doc_to_target": "{{continuation}}",
    },
    "lambada": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{text.strip().split(' ')[:-1]|join(' ')}}",
        "doc_to_target": "{{' ' + text.strip().split(' ')[-1]}}",
        "target_delimiter": "",
    },
    "two_digit_addition": {
        "output_type": "generate_until",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{completion}}",
        "target_delimiter": "",
        "fewshot_delimiter": "",
    },
    "humaneval_text": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{prompt}}{{canonical_solution}}",
    },
}
METRICS = {
    "multiple_choice": CHOICE,
    "loglikelihood": ("acc", "perplexity"),
    "generate_until": ("exact_match",),
    "loglikelihood_rolling": ("bits_per_byte", "byte_perplexity", "word_perplexity"),
}


def few_rows(task: TaskSpec, folder: Path) -> str:
    """The first rows of a task's file, so that both draw examples from the same few."""
    lines = gzip.decompress(Path(task.items or "").read_bytes()).decode().splitlines()[:ITEMS]
    path = folder / f"{task.name}.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TaskSpec, str]]:
    folder = tmp_path_factory.mktemp("harness")
    tasks = {task.name: task for task in read_suite("all", str(shared_data / "eval")).tasks}
    return {name: (tasks[name], few_rows(tasks[name], folder)) for name in TASKS}


@pytest.fixture(scope="module")
def ours(
    shared_run: str, files: dict[str, tuple[TaskSpec, str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[EvaluationResult, list[ItemRecord]]:
    changed = []
    for task, path in files.values():
        shots = (0,) if task.kind == "perplexity" else (0, SHOTS)
        examples = path if task.examples else None
        update = {"items": path, "examples": examples, "shots": shots, "draw": "lm-eval", "fit": False}
        changed.append(task.model_copy(update={**update, "answer_context": ""}))
    suite = tmp_path_factory.mktemp("ours") / "suite.toml"
    suite.write_text(suite_text(Suite(name="harness", tasks=tuple(changed))))
    result = evaluate(shared_run, str(suite), EvaluateConfig(untrained=False))
    return result, list(read_records(Folder(f"{shared_run}/scores"), "harness-step-100"))


def harness_task(name: str, path: str, shots: int, cache: Path) -> dict[str, Any]:
    own = TASKS[name]
    kind = own.get("output_type", "multiple_choice")
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": path}, "cache_dir": str(cache)},
        "test_split": "test",
        "fewshot_split": "test",
        "output_type": kind,
        "num_fewshot": shots,
        "metric_list": [{"metric": metric} for metric in METRICS[kind]],
        **own,
    }
    if kind == "generate_until":
        task["generation_kwargs"] = {"until": ["\n"], "max_gen_toks": 12, "do_sample": False}
    return task


@pytest.fixture(scope="module")
def theirs(
    shared_run: str, files: dict[str, tuple[TaskSpec, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], dict[str, Any]]:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    # Its own 14,000 task files are not looked at.
    manager, cache = TaskManager(include_defaults=False), tmp_path_factory.mktemp("cache")
    found = {}
    model = harness_model(shared_run, batch=5)
    for shots in (0, SHOTS):
        chosen = [
            harness_task(name, path, shots, cache)
            for name, (task, path) in files.items()
            if not shots or task.kind != "perplexity"
        ]
        result = simple_evaluate(model=model, tasks=chosen, bootstrap_iters=0, task_manager=manager)
        assert result is not None
        for task in chosen:
            name = task["task"]
            found[name, shots] = {"scores": result["results"][name], "samples": result["samples"][name]}
    return found


def sample(theirs: dict[tuple[str, int], dict[str, Any]], record: ItemRecord) -> dict[str, Any]:
    samples = theirs[record.task, record.shots]["samples"]
    number = {str(one["doc"].get("task_id", one["doc_id"])): place for place, one in enumerate(samples)}[record.id]
    return dict(samples[number])


KEYS = [(name, shots) for name in TASKS for shots in (0, SHOTS) if shots == 0 or name != "humaneval_text"]


@pytest.mark.parametrize(("name", "shots"), KEYS)
def test_scores_agree_item_by_item(
    name: str, shots: int, ours: tuple[EvaluationResult, list[ItemRecord]], theirs: dict[tuple[str, int], Any]
) -> None:
    records = [record for record in ours[1] if (record.task, record.shots) == (name, shots)]
    score = next(score for score in ours[0].scores if (score.task, score.shots) == (name, shots))
    assert len(records) == ITEMS
    {
        "multiple_choice": agrees_on_choices,
        "cloze": agrees_on_cloze,
        "generation": agrees_on_answers,
        "perplexity": agrees_on_texts,
    }[score.kind](records, score, theirs)


def scores_of(theirs: dict[tuple[str, int], Any], score: Score) -> dict[str, float]:
    found = theirs[score.task, score.shots]["scores"]
    return {key.partition(",")[0]: value for key, value in found.items() if key.endswith(",none")}


def agrees_on_choices(records: list[ItemRecord], score: Score, theirs: dict[tuple[str, int], Any]) -> None:
    names = {"acc": "sum", "acc_norm": "character", "acc_bytes": "byte", "acc_mutual_info": "unconditional"}
    if records[0].detail["choices"] and score.task == "winogrande":
        # Beginnings of unequal length: the harness divides by the lengths of the beginnings, which are no choices here.
        names = {"acc": "sum"}
    for record in records:
        one = sample(theirs, record)
        assert one["arguments"][0][0] == record.prompt
        sums = record.detail["log_likelihood"]["sum"]
        assert [own[0][0] for own in one["resps"]][: len(sums)] == pytest.approx(sums, abs=1e-4)
        assert {metric: one[metric] for metric in names} == {
            metric: record.metrics[f"accuracy_{norm}"] for metric, norm in names.items()
        }
    whole = scores_of(theirs, score)
    assert {m: whole[m] for m in names} == pytest.approx({m: score.others[f"accuracy_{n}"] for m, n in names.items()})


def agrees_on_cloze(records: list[ItemRecord], score: Score, theirs: dict[tuple[str, int], Any]) -> None:
    for record in records:
        one = sample(theirs, record)
        assert one["arguments"][0][0] == record.prompt
        assert one["resps"][0][0][0] == pytest.approx(record.metrics["log_likelihood"], abs=1e-4)
        assert one["acc"] == record.metrics["accuracy"]
    whole = scores_of(theirs, score)
    assert whole["acc"] == pytest.approx(score.value)
    assert whole["perplexity"] == pytest.approx(score.others["perplexity"], rel=1e-4)


def agrees_on_answers(records: list[ItemRecord], score: Score, theirs: dict[tuple[str, int], Any]) -> None:
    for record in records:
        one = sample(theirs, record)
        assert one["arguments"][0][0] == record.prompt
        assert one["resps"][0][0].strip() == record.detail["generated"]
        assert one["exact_match"] == record.metrics["exact_match"]
    assert scores_of(theirs, score)["exact_match"] == pytest.approx(score.value)


def agrees_on_texts(records: list[ItemRecord], score: Score, theirs: dict[tuple[str, int], Any]) -> None:
    for record in records:
        assert sample(theirs, record)["resps"][0][0] == pytest.approx(record.metrics["log_likelihood"], rel=1e-5)
    whole = scores_of(theirs, score)
    assert whole["bits_per_byte"] == pytest.approx(score.value, rel=1e-5)
    assert whole["byte_perplexity"] == pytest.approx(score.others["byte_perplexity"], rel=1e-5)
    # The harness splits words at each white space, so that a run of them holds empty words.
    nats, texts = -math.fsum(r.metrics["log_likelihood"] for r in records), [r.prompt for r in records]
    words = sum(len(re.split(r"\s+", text)) for text in texts)
    assert whole["word_perplexity"] == pytest.approx(math.exp(nats / words), rel=1e-4)


def test_draws_and_a_missing_library_are_refused(shared_run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.api.instance import Instance

    model = harness_model(shared_run)
    request = Instance("generate_until", {}, ("a", {"until": ["."], "do_sample": True, "temperature": 1.0}), 0)
    with pytest.raises(ConfigError, match=r"lm-eval wants answers drawn by chance .*give gen_kwargs temperature=0"):
        model.generate_until([request])
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(ConfigError, match=r"lm-evaluation-harness is not installed; install corpusmill\[lm-eval\]"):
        harness_model(shared_run)


def test_rows_of_the_two_are_the_same(files: dict[str, tuple[TaskSpec, str]]) -> None:
    assert len(files) >= 8
    for _, path in files.values():
        assert len([json.loads(line) for line in Path(path).read_text().splitlines()]) == ITEMS
