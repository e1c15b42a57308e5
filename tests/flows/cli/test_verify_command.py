"""`corpusmill verify`, and the table that `run mix` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli.main import run
from flows.cli.run_command import show_mixture
from pipelines.tokens.mix_plan import published_table
from schemas.configs.mix import MixConfig


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> str:
    """A corpus with tokens by GPT-2's vocabulary, made by the commands themselves."""
    place = tmp_path_factory.mktemp("verify")
    rows = [{"url": f"https://a.example/{n}", "text": f"Text number {n} of the corpus."} for n in range(30)]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    root = ["--root", str(place / "corpus")]
    named = ["--source", "web", "--partition", "1"]
    assert run(["run", "clean", "--input", str(place / "rows.jsonl"), *root, *named, "--set", "rules=[]"]) == 0
    assert run(["run", "tokenizer", *root, "--set", f"load={shared_data / 'gpt2'}", "--set", "name=gpt2"]) == 0
    assert run(["run", "tokenize", *root, "--workers", "1", "--set", "tokenizer=gpt2"]) == 0
    return str(place / "corpus")


def test_a_sound_corpus_passes_and_a_damaged_one_is_told_file_by_file(
    corpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", corpus]) == 0
    assert capsys.readouterr().out.startswith("0 problems; looked at 30 documents decoded, ")
    path = Path(corpus) / "tokens" / "gpt2" / "train" / "web" / "1" / "shard-00000.arrow"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert run(["verify", "--root", corpus]) == 1
    assert f"{path}: its bytes are not those that were written" in capsys.readouterr().out
    assert run(["verify", "--root", corpus, "--json"]) == 1
    (found, *_) = json.loads(capsys.readouterr().out.splitlines()[-1])["problems"]
    assert found["where"] == str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one corpus: `corpusmill verify FOLDER`, or --root FOLDER"),
        (["a", "--root", "b"], "give one corpus: `corpusmill verify FOLDER`, or --root FOLDER"),
        (["nowhere"], "no corpus in nowhere; give a folder that `corpusmill run` has written"),
    ],
)
def test_what_is_given_wrong_is_named(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["verify", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_retrain_makes_another_tokenizer_beside_the_frozen_one(corpus: str, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["--set", "vocabulary_size=300", "--set", "name=bpe"]
    for arguments, name in (([], "bpe"), (["--retrain"], "bpe-2")):
        assert run(["run", "tokenizer", "--root", corpus, *sets, *arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["units"][0]["source"] == name
    assert run(["run", "tokenize", "--root", corpus, "--retrain"]) == 2
    assert "tokenize.retrain: unknown key" in capsys.readouterr().err


def test_the_table_of_gpt3_names_the_row_that_disagrees(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"phase": 0, "source": "web", "tokens": 1000, "weight": 0.594, "samples": 7, "epochs": 1.5}
    show_mixture({"epochs": [row], "published": published_table(MixConfig(preset="gpt3"))})
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["web", "1,000", "59.4%", "7", "1.50"] for line in lines)
    assert any(line.split()[-3:] == ["2.9", "*", "3.44"] and "webtext2" in line for line in lines)
    assert lines[-1].endswith("however these were rounded: webtext2")
