from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from schemas.configs.evaluate import EvaluateConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import CorpusmillError, InputError
from schemas.mixture import read_mixture, write_mixture
from schemas.run import read_run, write_run
from schemas.storage import Folder
from training.cli import main
from training.evaluation.choice_scoring import NORMALIZATIONS
from training.evaluation.evaluate import evaluate
from training.evaluation.results import EvaluationResult, ItemRecord, Score, read_records, read_result

STORY_WORDS = "the a red old small cat dog bird sees likes follows house tree road in on near quickly often never"
WORDS = STORY_WORDS.split()


def sentence(start: int, length: int, step: int = 1) -> str:
    return " ".join(WORDS[(start + step * i) % len(WORDS)] for i in range(length))


@pytest.fixture
def suite(tmp_path: Path) -> str:
    """Perplexity; which words follow (learned: each word is followed by the next of the list); the next word."""

    def rows(name: str, content: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in content))

    choices = [
        {
            "id": f"c{i}",
            "context": sentence(i, 5),
            "choices": [sentence(i + 9, 2, 3), sentence(i + 5, 2), sentence(i, 2, 7)],
            "answer": 1,
            "group": f"document {i % 5}",
        }
        for i in range(20)
    ]
    words = [{"id": f"w{i}", "prompt": sentence(i, 4), "answers": [WORDS[(i + 4) % 20]]} for i in range(20)]
    rows("choices.jsonl", choices)
    rows("words.jsonl", words[:15])
    rows("words-examples.jsonl", words[15:])
    text = """
        name = "mine"
        [[tasks]]
        name = "loss"
        kind = "perplexity"
        [[tasks]]
        name = "choices"
        kind = "multiple_choice"
        items = "choices.jsonl"
        normalization = "sum"
        [[tasks]]
        name = "words"
        kind = "generation"
        items = "words.jsonl"
        examples = "words-examples.jsonl"
        shots = [0, 2, 9]
        separator = "\\n"
        stop = [" ", "\\n"]
        max_tokens = 6
    """
    (tmp_path / "suite.toml").write_text("\n".join(line.strip() for line in text.splitlines()))
    return str(tmp_path / "suite.toml")


def by_task(result: EvaluationResult) -> dict[tuple[str, int], Score]:
    return {(score.task, score.shots): score for score in result.scores}


def records(run: str) -> list[ItemRecord]:
    return list(read_records(Folder(f"{run}/scores"), "mine-step-100"))


def test_scores_of_a_model_that_learned_something(trained_run: str, suite: str) -> None:
    said: list[str] = []
    result = evaluate(trained_run, suite, EvaluateConfig(untrained_limit=10), said.append)
    scores = by_task(result)
    assert list(scores) == [("loss", 0), ("choices", 0), ("words", 0), ("words", 2), ("words", 9)]
    assert len(said) == 5
    loss, choices, words = scores["loss", 0], scores["choices", 0], scores["words", 0]

    assert loss.value is not None
    assert loss.untrained is not None
    assert loss.value < loss.others["bigram_bits_per_byte"] * 1.2 < loss.untrained < (loss.chance or 0) * 1.05
    run = read_run(trained_run)
    assert run is not None
    assert loss.n == sum(s.tokens for s in read_mixture(CorpusRoot(run.root).mixture_folder(), "main").test)
    assert set(loss.others) >= {"loss", "perplexity", "bigram_loss", "loss_books", "loss_web", "untrained_loss"}

    assert (choices.n, choices.groups, choices.chance, choices.untrained_n) == (20, 5, pytest.approx(1 / 3), 10)
    assert choices.value is not None
    assert choices.standard_error is not None
    assert choices.value > 1 / 3 + 3 * choices.standard_error
    assert set(choices.others) == {f"accuracy_{norm}" for norm in NORMALIZATIONS}
    assert choices.value == choices.others["accuracy_sum"]

    assert (words.n, words.groups, words.metric) == (15, 15, "exact_match")
    assert words.value is not None
    assert words.value > 0.3
    assert scores["words", 9].note == "only 5 examples for 9 shots"
    assert scores["words", 9].truncated == 15

    own = records(trained_run)
    assert len(own) == 20 + 3 * 15
    mean = sum(r.metrics["accuracy"] for r in own if r.task == "choices") / 20
    assert mean == pytest.approx(choices.value)


def test_no_score_depends_on_the_batch(trained_run: str, suite: str) -> None:
    one = evaluate(trained_run, suite, EvaluateConfig(batch=1, untrained=False))
    first = records(trained_run)
    shutil.rmtree(Path(trained_run) / "scores")
    seven = evaluate(trained_run, suite, EvaluateConfig(batch=7, untrained=False))
    assert one.fingerprint == seven.fingerprint
    for left, right in zip(one.scores, seven.scores, strict=True):
        assert left.value == pytest.approx(right.value, rel=1e-5)
    for old, new in zip(first, records(trained_run), strict=True):
        assert old.metrics == new.metrics
        assert old.detail.get("generated") == new.detail.get("generated")
        for norm, values in old.detail.get("log_likelihood", {}).items():
            assert values == pytest.approx(new.detail["log_likelihood"][norm], abs=1e-4)


def test_a_stored_result_is_given_back_until_something_changes(trained_run: str, suite: str) -> None:
    config = EvaluateConfig(limit=4, untrained=False, bigram=False)
    first = evaluate(trained_run, suite, config)
    said: list[str] = []
    assert evaluate(trained_run, suite, config.model_copy(update={"batch": 3}), said.append) == first
    assert said == []
    items = Path(suite).with_name("words.jsonl")
    items.write_text(items.read_text().replace("w0", "w00"))
    second = evaluate(trained_run, suite, config, said.append)
    assert second.fingerprint != first.fingerprint
    assert len(said) == 5
    (Path(trained_run) / "scores" / "mine-step-100.json").write_text("{")
    assert read_result(Folder(f"{trained_run}/scores"), "mine-step-100") is None
    assert evaluate(trained_run, suite, config).scores == second.scores


def test_a_limit_takes_the_first_items_and_says_so_for_perplexity(trained_run: str, suite: str) -> None:
    result = evaluate(trained_run, suite, EvaluateConfig(limit=4, untrained=True, untrained_limit=None, bigram=False))
    scores = by_task(result)
    assert scores["choices", 0].n == scores["choices", 0].untrained_n == 4
    assert scores["loss", 0].n == 2 * 4 * 32
    assert scores["loss", 0].note == "8 windows of the split, spread evenly"
    assert "bigram_loss" not in scores["loss", 0].others


def test_a_split_without_tokens_has_no_score_and_no_error(trained_run: str, suite: str) -> None:
    run = read_run(trained_run)
    assert run is not None
    folder = CorpusRoot(run.root).mixture_folder()
    plan = read_mixture(folder, "main").model_copy(update={"test": (), "name": "bare"})
    write_mixture(folder, plan)
    write_run(trained_run, run.model_copy(update={"mixture": "bare", "plan_digest": plan.digest()}))
    score = evaluate(trained_run, suite, EvaluateConfig(limit=2)).scores[0]
    assert (score.value, score.n, score.note) == (None, 0, "the test split of mixture bare holds no token")


def test_another_mixture_than_the_runs_is_refused(trained_run: str, suite: str) -> None:
    run = read_run(trained_run)
    assert run is not None
    write_run(trained_run, run.model_copy(update={"plan_digest": "0" * 64}))
    with pytest.raises(InputError, match=r"mixture main in .* is not the one that this run was trained on"):
        evaluate(trained_run, suite, EvaluateConfig())


@pytest.mark.parametrize("damage", ["choices.jsonl", "words-examples.jsonl"])
def test_a_malformed_row_is_named_before_anything_is_scored(trained_run: str, suite: str, damage: str) -> None:
    path = Path(suite).with_name(damage)
    path.write_text(path.read_text() + '{"id": "x"}\n')
    lines = len(path.read_text().splitlines())
    said: list[str] = []
    with pytest.raises(CorpusmillError, match=rf"{damage} line {lines}: .*Field required"):
        evaluate(trained_run, suite, EvaluateConfig(), said.append)
    assert said == []


def test_the_command_prints_scores_and_one_json_object(
    trained_run: str, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "--run", trained_run, "--suite", suite, "--limit", "3", "--no-untrained", "--json"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert Path(result["file"]).is_file()
    assert [score["untrained"] for score in result["scores"]] == [None] * 5
    assert "choices 0-shot: accuracy" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "evaluate.limit: Input should be greater than or equal to 1, got 0"),
        (["--step", "5"], "has no checkpoint of step 5 (there: "),
        (["--suite", "missing.toml"], "cannot read missing.toml"),
        (["--run", "nowhere"], "no training run in nowhere"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    trained_run: str, suite: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["evaluate", "--run", trained_run, "--suite", suite, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_clean_items_are_scored_beside_all(trained_run: str, suite: str, tmp_path: Path) -> None:
    config = EvaluateConfig(untrained=False, bigram=False)
    plain = by_task(evaluate(trained_run, suite, config))["words", 0]
    assert (plain.clean, plain.clean_n, plain.dirty, plain.dirty_n) == (None, 0, None, 0)
    lists = tmp_path / "lists"
    lists.mkdir()
    statuses = ["dirty", "removed", "clean"]
    rows = [{"id": f"w{n}", "status": statuses[n % 3], "documents": 0, "left": 0} for n in range(12)]
    (lists / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    config = config.model_copy(update={"overlaps": str(lists)})
    score = by_task(evaluate(trained_run, suite, config, said.append))["words", 0]
    right = {
        one.id: one.metrics["exact_match"] for one in records(trained_run) if (one.task, one.shots) == ("words", 0)
    }
    dirty, clean = ([right[f"w{n}"] for n in range(12) if (n % 3 == 0) == is_dirty] for is_dirty in (True, False))
    assert (score.clean_n, score.dirty_n) == (8, 4)  # three items are on no list
    assert score.clean == pytest.approx(sum(clean) / 8)
    assert score.dirty == pytest.approx(sum(dirty) / 4)
    assert score.value == plain.value
    assert any("clean" in line and "of 8" in line for line in said)
    # Lists in the corpus under the suite's name need not be given.
    config_of_run = read_run(trained_run)
    assert config_of_run is not None
    own = Path(config_of_run.root) / "clean-dirty" / "mine"
    shutil.copytree(lists, own)
    try:
        found = evaluate(trained_run, suite, config.model_copy(update={"overlaps": None}))
        assert by_task(found)["words", 0] == score
    finally:
        shutil.rmtree(own.parent)
    with pytest.raises(InputError, match=r"no folder .*gone; give overlaps a folder below clean-dirty/ of a corpus"):
        evaluate(trained_run, suite, config.model_copy(update={"overlaps": str(tmp_path / "gone")}))
