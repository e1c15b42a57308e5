from __future__ import annotations

import itertools
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.finetune import FinetuneConfig, LoraSettings
from schemas.errors import ConfigError, InputError
from schemas.run import latest_step, read_run
from schemas.tasks import Pair
from training.checkpoints import load_model
from training.cli import main
from training.evaluation.evaluate import evaluate
from training.finetuning import learn as module
from training.finetuning.finetune import finetune as finetune_from
from training.finetuning.job import Sources
from training.finetuning.learn import answer_loss
from training.finetuning.pair_files import read_pairs
from training.finetuning.result import FinetuneResult
from training.finetuning.samples import encode_pairs
from training.loop.randomness import derived_seed

STORY_WORDS = "the a red old small cat dog bird sees likes follows house tree road in on near quickly often never"
WORDS = STORY_WORDS.split()
CONFIG = FinetuneConfig(epochs=30, batch=10, learning_rate=0.01, max_tokens=6, precision="fp32")


def finetune(base: str, data: str, out: str, config: FinetuneConfig, test: str | None = None, **more) -> FinetuneResult:
    say = more.pop("say", lambda _message: None)
    return finetune_from(Sources(base=base, data=data, test=test, **more), out, config, say)


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Twice a word is answered with that word: the first ten words to learn from, and to be tested on."""
    rows = [{"prompt": f"{word} and {word}:", "answer": f"{word} {word}"} for word in WORDS[:10]]
    return write(tmp_path / "train.jsonl", rows * 2), write(tmp_path / "test.jsonl", rows)


def weights(run: str) -> dict[str, torch.Tensor]:
    (path,) = (Path(run) / "checkpoints" / f"step-{latest_step(run):06d}" / "model").iterdir()
    return load_file(path)


def test_answers_get_better_and_the_run_is_a_run_like_others(
    trained_run: str, files: tuple[str, str], tmp_path: Path
) -> None:
    out = str(tmp_path / "tuned")
    before = weights(trained_run)
    result = finetune(trained_run, files[0], out, CONFIG, files[1])
    assert (result.pairs, result.test_pairs, result.steps, result.truncated) == (20, 10, 60, 0)
    for metric in ("exact_match", "token_f1"):
        score = result.scores[metric]
        assert score.change.value == pytest.approx((score.after.value or 0) - (score.before.value or 0))
        assert score.change.standard_error is not None
        assert score.change.value is not None
        assert score.change.value > 0.5 > 3 * score.change.standard_error
    # "the the" comes first among equals; without articles it is empty, as is "a a": right for two of ten.
    assert result.constant == {"exact_match": 0.2, "token_f1": 0.2}
    assert (result.scores["answer_loss"].change.value or 0) < -1
    assert FinetuneResult.model_validate_json(Path(out, "finetune.json").read_text()) == result

    items = [json.loads(line) for line in Path(out, "finetune-items.jsonl").read_text().splitlines()]
    assert [item["answer"] for item in items] == [f"{word} {word}" for word in WORDS[:10]]
    assert sum(item["after"]["exact_match"] for item in items) / 10 == result.scores["exact_match"].after.value
    rows = [json.loads(line) for line in Path(out, "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert set(rows[0]) == {"step", "tokens", "loss", "learning_rate", "seconds"}
    # Two words and end-of-text are three tokens or more; prompts and padding do not count.
    assert rows[0]["tokens"] < 10 * 12

    run, loaded = read_run(out), load_model(out)
    assert run is not None
    assert (run.kind, run.base, loaded.step) == ("finetune", str(Path(trained_run).resolve()), 60)
    assert all(torch.equal(one, before[name]) for name, one in weights(trained_run).items())
    suite = tmp_path / "suite.json"
    suite.write_text('{"name": "loss", "tasks": [{"name": "loss", "kind": "perplexity"}]}')
    scores = evaluate(out, str(suite), EvaluateConfig(limit=3)).scores
    assert scores[0].value is not None


def test_the_same_call_gives_the_same_weights_and_then_does_nothing(
    trained_run: str, files: tuple[str, str], tmp_path: Path
) -> None:
    short = CONFIG.model_copy(update={"epochs": 2.0})
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first = finetune(trained_run, files[0], one, short)
    finetune(trained_run, files[0], two, short)
    assert all(torch.equal(value, weights(two)[name]) for name, value in weights(one).items())
    assert first.scores == {}
    said: list[str] = []
    assert finetune(trained_run, files[0], one, short, say=said.append) == first
    assert said == []


def test_an_interrupted_run_is_done_again_with_the_same_result(
    trained_run: str, files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = CONFIG.model_copy(update={"epochs": 2.0})
    whole, cut = str(tmp_path / "whole"), str(tmp_path / "cut")
    expected = finetune(trained_run, files[0], whole, short)
    steps: list[int] = []
    real = module.train_step

    def stop_at_third(*args, **kwargs):
        steps.append(kwargs["step"])
        if steps == [1, 2, 3]:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "train_step", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        finetune(trained_run, files[0], cut, short)
    assert not Path(cut, "finetune.json").exists()
    again = finetune(trained_run, files[0], cut, short)
    assert (again.loss, again.fingerprint) == (expected.loss, expected.fingerprint)
    rows = [json.loads(line) for line in Path(cut, "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]


def test_other_data_or_settings_need_another_folder(trained_run: str, files: tuple[str, str], tmp_path: Path) -> None:
    out, short = str(tmp_path / "tuned"), CONFIG.model_copy(update={"epochs": 0.5})
    finetune(trained_run, files[0], out, short)
    with pytest.raises(ConfigError, match=r"tuned: learning_rate was 0\.01 when this run began and is 0\.02 now"):
        finetune(trained_run, files[0], out, short.model_copy(update={"learning_rate": 0.02}))
    with pytest.raises(ConfigError, match="tuned: data was"):
        finetune(trained_run, files[1], out, short.model_copy(update={"epochs": 1.0}))
    with pytest.raises(InputError, match="is the run to start from; give another folder"):
        finetune(trained_run, files[0], trained_run, short)


def test_new_test_pairs_are_scored_anew(trained_run: str, files: tuple[str, str], tmp_path: Path) -> None:
    out, short = str(tmp_path / "tuned"), CONFIG.model_copy(update={"epochs": 0.5})
    assert finetune(trained_run, files[0], out, short).test_pairs == 0
    assert finetune(trained_run, files[0], out, short, files[1]).test_pairs == 10
    limited = short.model_copy(update={"test_limit": 4})
    assert finetune(trained_run, files[0], out, limited, files[1]).scores["token_f1"].before.n == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"prompt": "a"}',
            r"train\.jsonl line 21: no column 'answer' for the template '\{answer\}'; its columns are: prompt",
        ),
        (
            '{"prompt": "", "answer": "b"}',
            r"train\.jsonl line 21: the prompt is empty; leave the row out or give it some text",
        ),
        ("prompt,answer", r"train\.jsonl line 21: no JSON"),
    ],
)
def test_malformed_data_is_one_line_with_file_and_line(
    trained_run: str, files: tuple[str, str], tmp_path: Path, line: str, message: str
) -> None:
    path = Path(files[0])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=message):
        finetune(trained_run, files[0], str(tmp_path / "tuned"), CONFIG)
    assert not (tmp_path / "tuned").exists()


def test_the_command(
    trained_run: str, files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["finetune", "--run", trained_run, "--data", files[0], "--out", str(tmp_path / "tuned")]
    assert main([*arguments, "--test", files[1], "--set", "epochs=1", "--set", "batch=10", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1])["scores"]["token_f1"]["before"]["n"] == 10
    assert "step 2/2" in captured.err
    assert main([*arguments, "--set", "epoch=1"]) == 2
    assert "finetune.epoch: unknown key; did you mean 'epochs'?" in capsys.readouterr().err
    assert main([*arguments[:-4], "--data", "missing.jsonl", "--out", str(tmp_path / "other")]) == 2
    assert "cannot read missing.jsonl" in capsys.readouterr().err


def test_the_same_call_packed_or_not_trains_the_same(trained_run: str, files: tuple[str, str], tmp_path: Path) -> None:
    short = CONFIG.model_copy(update={"epochs": 2.0})
    packed = finetune(trained_run, files[0], str(tmp_path / "packed"), short)
    alone = finetune(trained_run, files[0], str(tmp_path / "alone"), short.model_copy(update={"pack": False}))
    assert packed.loss == pytest.approx(alone.loss, rel=1e-3)
    assert packed.tokens == alone.tokens


def test_validation_ends_a_run_that_gets_no_better_and_keeps_the_best_weights(
    trained_run: str, files: tuple[str, str], tmp_path: Path
) -> None:
    # What is validated contradicts what is learned, so that it gets worse with time.
    rows = [{"prompt": f"{word} and {word}:", "answer": "never near"} for word in WORDS[:6]]
    validation = write(tmp_path / "validation.jsonl", rows)
    config = CONFIG.model_copy(update={"patience": 3, "validation_every": 2})
    out = str(tmp_path / "stopped")
    result = finetune(trained_run, files[0], out, config, validation=validation)
    losses = result.validation_losses
    assert result.planned_steps == 60
    assert result.steps == 2 * len(losses) < 60
    assert min(losses[-3:]) >= min(losses[:-3])
    assert result.best_step == 2 * (losses.index(min(losses)) + 1)
    assert load_model(out).step == result.best_step
    loaded = load_model(out)
    samples = encode_pairs([Pair(**row) for row in rows], loaded.tokenizer, " ", loaded.end_of_text, 32)
    assert answer_loss(loaded.model, samples, config) == pytest.approx(min(losses), rel=1e-4)
    logged = [json.loads(line) for line in Path(out, "metrics.jsonl").read_text().splitlines()]
    assert [row["validation_loss"] for row in logged if "validation_loss" in row] == list(losses)
    with pytest.raises(ConfigError, match=r"finetune\.patience is 3, and there is nothing to validate on"):
        finetune(trained_run, files[0], str(tmp_path / "other"), config)


def test_columns_of_parquet_become_pairs_by_templates(trained_run: str, tmp_path: Path) -> None:
    table = pa.table({"word": WORDS[:8], "times": [2] * 8, "group": [f"g{n // 2}" for n in range(8)]})
    pq.write_table(table, tmp_path / "pairs.parquet")
    update = {"prompt_template": "{word} {times}:", "answer_template": "{word}!", "epochs": 1.0}
    config = CONFIG.model_copy(update=update)
    pairs = read_pairs(str(tmp_path / "pairs.parquet"), config)
    assert pairs[1] == Pair(prompt="a 2:", answer="a!", group="g0")
    file = str(tmp_path / "pairs.parquet")
    result = finetune(trained_run, file, str(tmp_path / "out"), config, file)
    assert (result.pairs, result.scores["exact_match"].before.groups) == (8, 4)


def test_a_template_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="'fixed' names no column, so all texts would be alike"):
        FinetuneConfig(answer_template="fixed")


def test_one_suite_is_scored_before_and_after_and_held_out_text_tells_what_was_forgotten(
    trained_run: str, files: tuple[str, str], tmp_path: Path
) -> None:
    items = [{"id": w, "prompt": f"{w} and {w}:", "answers": [f"{w} {w}"]} for w in WORDS[:10]]
    write(tmp_path / "items.jsonl", items)
    suite = tmp_path / "suite.toml"
    suite.write_text(
        'name = "mine"\n[[tasks]]\nname = "twice"\nkind = "generation"\nitems = "items.jsonl"\nmax_tokens = 6\n'
        '[[tasks]]\nname = "text"\nkind = "perplexity"\n'
    )
    out = str(tmp_path / "tuned")
    result = finetune(trained_run, files[0], out, CONFIG, files[1], suite=str(suite))
    twice, text = result.suite
    # The suite asks what the test pairs ask, so the scores are the same, errors included.
    pairs = result.scores["exact_match"]
    assert (twice.before, twice.after) == (pairs.before.value, pairs.after.value)
    assert (twice.change, twice.standard_error) == (pairs.change.value, pairs.change.standard_error)
    assert (text.metric, text.standard_error) == ("bits_per_byte", None)
    # Learning to repeat words makes stories less likely.
    assert text.change is not None
    assert text.change > 0
    forgotten = result.forgetting
    assert forgotten.tokens > 0
    assert (forgotten.before, forgotten.after) == pytest.approx((text.before, text.after))
    assert forgotten.change == pytest.approx(text.change)
    assert finetune(trained_run, files[0], out, CONFIG, files[1], suite=str(suite)) == result
    none = CONFIG.model_copy(update={"epochs": 0.5, "forgetting_windows": 0})
    assert finetune(trained_run, files[0], str(tmp_path / "none"), none).forgetting.note == (
        "not asked for (forgetting_windows is 0)"
    )


ANIMALS = ("cat", "dog", "bird")
TASKS = {
    "first word": lambda first, _second: first,
    "second word": lambda _first, second: second,
    "animal": lambda first, second: "likes" if {first, second} & set(ANIMALS) else "never",
}


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("task", TASKS)
def test_held_out_items_of_three_tasks_gain_over_three_standard_errors(
    trained_run: str, tmp_path: Path, task: str, method: str
) -> None:
    rows = [
        {"prompt": f"{first} and {second}:", "answer": TASKS[task](first, second)}
        for first, second in itertools.product(WORDS[2:12], WORDS[2:12])
    ]
    rows.sort(key=lambda row: derived_seed(row["prompt"]))
    train, test = write(tmp_path / "train.jsonl", rows[25:]), write(tmp_path / "test.jsonl", rows[:25])
    config = FinetuneConfig(
        method=method,
        lora=LoraSettings(rank=16, alpha=32),
        epochs=30,
        batch=16,
        learning_rate=0.03 if method == "lora" else 0.01,
        max_tokens=3,
        precision="fp32",
        forgetting_windows=0,
    )
    result = finetune(trained_run, train, str(tmp_path / "out"), config, test)
    change = result.scores["exact_match"].change
    assert change.value is not None
    assert change.standard_error is not None
    assert change.value > 3 * change.standard_error
    assert (result.trainable_parameters < result.parameters) == (method == "lora")
    assert (result.state_bytes < 12 * result.parameters) == (method == "lora")
