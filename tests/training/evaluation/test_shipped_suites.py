from __future__ import annotations

from pathlib import Path

import pytest

from schemas.configs.evaluate import EvaluateConfig
from schemas.errors import ConfigError, InputError
from schemas.storage import Folder
from schemas.suites import read_suite, select_tasks, shipped_suites
from training.cli import main
from training.evaluation.evaluate import evaluate
from training.evaluation.results import EvaluationResult, ItemRecord, read_records
from training.evaluation.task_scores import shots_of

TAGS = {"arithmetic", "knowledge", "language", "reading", "reasoning"}


@pytest.fixture(scope="module")
def data(shared_data: Path) -> str:
    return str(shared_data / "eval")


def test_every_shipped_task_has_data_a_tag_and_a_suite_named_after_it(data: str) -> None:
    assert set(shipped_suites()) == TAGS | {"all"}
    tasks = read_suite("all", data).tasks
    assert len(tasks) == 38
    for task in tasks:
        assert set(task.tags) & TAGS, task.name
        assert task.items is not None
        assert Path(task.items).is_file()
    used = {Path(path).name for task in tasks for path in task.files}
    assert used == {path.name for path in Path(data).rglob("*.gz")}
    assert {task.name for name in TAGS for task in read_suite(name, data).tasks} == {task.name for task in tasks}


def test_tasks_are_chosen_by_name_and_by_tag(data: str) -> None:
    suite = read_suite("all", data)
    assert [task.name for task in select_tasks(suite, ["boolq"], ["code"]).tasks] == ["humaneval_text", "boolq"]
    with pytest.raises(ConfigError, match=r"suite all has no tag 'history'; it has arithmetic, code, gpt3"):
        select_tasks(suite, [], ["history"])
    with pytest.raises(InputError, match="suite all is shipped without its data; give --data, the folder that has it"):
        read_suite("all")


def test_numbers_of_the_paper_stand_beside_like_numbers_of_shots(data: str) -> None:
    tasks = {task.name: task for task in read_suite("all", data).tasks}
    assert tasks["lambada"].published_at(0)["gpt3-175b"] == 0.762
    assert len(tasks["lambada"].published_at(0)) == 8
    assert tasks["two_digit_addition"].published_at(1) == {"gpt3-175b": 0.996}
    assert tasks["two_digit_addition"].published_at(8) == tasks["two_digit_addition"].published_at(50)
    assert tasks["gsm8k"].published_at(5) == {}


@pytest.fixture(scope="module")
def scored(shared_run: str, data: str) -> tuple[EvaluationResult, list[ItemRecord]]:
    """Two items of every shipped task, with none, one and as many of four examples as fit."""
    config = EvaluateConfig(data=data, limit=2, shots=(0, 1, 4), untrained=False)
    result = evaluate(shared_run, "all", config)
    return result, list(read_records(Folder(shared_run).child("scores"), "all-step-100"))


def test_all_shipped_tasks_run(scored: tuple[EvaluationResult, list[ItemRecord]], data: str) -> None:
    result, records = scored
    config = EvaluateConfig(shots=(0, 1, 4))
    wanted = [(task.name, shots) for task in read_suite("all", data).tasks for shots in shots_of(task, config)]
    assert [(score.task, score.shots) for score in result.scores] == wanted
    for score in result.scores:
        assert score.n == 2, score.task
        assert score.value is not None
        assert score.standard_error is not None
        assert score.convention
        assert score.tags
    assert len(records) == 2 * len(wanted)
    assert {record.task for record in records} == {task for task, _ in wanted}


def test_each_score_names_its_convention(scored: tuple[EvaluationResult, list[ItemRecord]]) -> None:
    conventions = {score.task: score.convention for score in scored[0].scores}
    assert conventions["arc_easy"] == "highest log-likelihood less that after 'Answer:'"
    assert conventions["winogrande"] == "highest sum of log-likelihoods"
    assert conventions["piqa"] == "highest log-likelihood per token"
    assert conventions["lambada"] == "all tokens of the word are the likeliest"
    assert conventions["two_digit_addition"] == "greedy, compared as written"
    assert conventions["triviaqa"] == "greedy, compared as SQuAD does"
    assert conventions["humaneval_text"] == "each text by itself, rolling windows"


def test_prompts_are_kept_and_show_no_example_that_does_not_fit(
    scored: tuple[EvaluationResult, list[ItemRecord]],
) -> None:
    records = {(record.task, record.shots, record.id): record for record in scored[1]}
    plain = records["reversed_words", 0, "0"]
    assert plain.prompt == "Please unscramble the letters into a word, and write that word:\n\ntaefed ="
    assert records["winograd", 0, "0"].detail["choices"][0].startswith("The city councilmen refused")
    # No example stands in a context of 32 tokens beside a passage, or beside the twelve tokens of an answer.
    shown = {(task, shots): len(record.examples) for (task, shots, item), record in records.items() if item == "0"}
    assert shown["boolq", 4] == 0
    assert records["boolq", 4, "0"].truncated
    scores = {(score.task, score.shots): score for score in scored[0].scores}
    assert all((score.shown or 0) <= score.shots for score in scores.values())
    assert scores["boolq", 0].truncated == 2


def test_the_command_takes_a_shipped_suite_by_name(
    shared_run: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--run", shared_run, "--suite", "reasoning", "--data", data, "--task", "copa"]
    assert main([*words, "--shots", "0", "--shots", "2", "--limit", "3", "--no-untrained"]) == 0
    said = capsys.readouterr().err
    assert "copa 0-shot: accuracy" in said
    assert "gpt3-175b 0.920" in said
    assert main([*words, "--task", "cobra"]) == 2
    assert "suite reasoning has no task 'cobra'" in capsys.readouterr().err
