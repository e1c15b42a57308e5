from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from schemas.configs.export import ExportConfig
from schemas.configs.model import ModelConfig
from schemas.errors import ConfigError, OutputError
from training.checkpoints import load_model, load_tokenizer
from training.cli import main
from training.export.export import export_run
from training.export.gpt2_config import has_bands
from training.export.weight_files import read_weights
from training.generation.beam import beam_search
from training.generation.tokens import encode

_GREEDY_NEW = 12


def test_a_dense_model_loads_as_plain_gpt2_with_equal_logits(both, ours) -> None:
    assert both.facts["dense"]["class"] == "GPT2LMHeadModel"
    torch.testing.assert_close(both.logits["dense"], ours.logits(both.runs["dense"]), rtol=0, atol=1e-4)
    assert not (Path(both.folders["dense"]) / "modeling_corpusmill.py").exists()


@pytest.mark.parametrize("name", ["banded", "trained"])
def test_a_banded_model_loads_with_its_modeling_file_with_equal_logits(both, ours, name: str) -> None:
    assert both.facts[name]["class"] == "CorpusmillForCausalLM"
    torch.testing.assert_close(both.logits[name], ours.logits(both.runs[name]), rtol=0, atol=1e-4)
    labels = torch.tensor(ours.ids)
    expected = torch.nn.functional.cross_entropy(both.logits[name][:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    assert both.facts[name]["loss"] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", ["dense", "banded", "trained"])
def test_both_sides_generate_the_same_greedy_tokens_with_and_without_a_cache(both, ours, name: str) -> None:
    facts, own = both.facts[name], ours.greedy(both.runs[name], ours.start)
    assert ours.until_end(facts["greedy"]) == own
    assert facts["greedy without cache"] == facts["greedy"]
    assert len(own) == _GREEDY_NEW or 0 in facts["greedy"]


@pytest.mark.parametrize("name", ["dense", "banded", "trained"])
def test_rows_padded_on_the_left_give_what_each_gives_alone(both, ours, name: str) -> None:
    facts = both.facts[name]
    assert [ours.until_end(row) for row in facts["padded"]] == [ours.until_end(row) for row in facts["alone"]]


def test_beam_search_keeps_the_caches_of_banded_layers_in_order(both) -> None:
    assert both.facts["banded"]["beams"] == both.facts["banded"]["beams without cache"]


def test_both_sides_find_the_same_text_by_beam_search(both, ours) -> None:
    loaded = load_model(both.runs["banded"])
    found = beam_search(
        loaded.model,
        ours.start,
        beams=3,
        length_penalty=0.0,
        max_tokens=_GREEDY_NEW,
        end_of_text=loaded.end_of_text,
        finished=lambda _ids: False,
    )
    assert found == ours.until_end(both.facts["banded"]["likeliest of beams"])


def test_another_kind_of_cache_is_refused(both) -> None:
    assert both.facts["banded"]["refusal"] == (
        "a StaticCache was given, and this model takes a DynamicCache (the default)"
    )


def test_the_tokenizer_comes_along(both, ours) -> None:
    for name in ("dense", "banded"):
        tokenizer = load_tokenizer(both.runs[name])
        assert both.facts[name]["text ids"] == encode(tokenizer, ours.text)
        assert both.facts[name]["end"] == 0


def test_half_precision_and_several_files(both, ours) -> None:
    folder = Path(both.folders["bf16"])
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in folder.glob("model-*.safetensors"))
    assert len(files) > 2
    assert files == sorted(set(index["weight_map"].values()))
    tensors = read_weights(folder)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert both.facts["bf16"]["dtype"] == "torch.bfloat16"
    whole = load_file(Path(both.folders["banded"]) / "model.safetensors")
    for name, tensor in whole.items():
        torch.testing.assert_close(tensors[name].float(), tensor, rtol=2**-8, atol=0)


def test_padding_rows_of_the_vocabulary_are_not_written(trained_run: str, tmp_path: Path) -> None:
    export_run(trained_run, str(tmp_path / "out"), ExportConfig())
    weights = load_file(tmp_path / "out" / "model.safetensors")
    vocabulary = json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"]
    assert weights["transformer.wte.weight"].shape[0] == vocabulary == load_tokenizer(trained_run).get_vocab_size()


def test_plain_gpt2_refuses_banded_layers_and_says_why(trained_run: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every second layer of this model sees a band of 8 tokens only"):
        export_run(trained_run, str(tmp_path / "out"), ExportConfig(layout="gpt2"))
    assert not (tmp_path / "out").exists()


def test_a_sparse_model_of_one_layer_has_no_band() -> None:
    model = ModelConfig(vocabulary_size=10, context=32, layers=1, heads=1, width=8, band=8)
    assert not has_bands(model)
    assert has_bands(model.model_copy(update={"layers": 2}))


def test_a_dense_model_may_be_written_with_the_modeling_file(both, tmp_path: Path) -> None:
    result = export_run(both.runs["dense"], str(tmp_path / "out"), ExportConfig(layout="corpusmill"))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert result.layout == config["model_type"] == "corpusmill"
    assert set(config["layer_types"]) == {"full_attention"}


def test_an_earlier_export_is_replaced_and_other_files_are_not(trained_run: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_run(trained_run, str(out), ExportConfig(shard_bytes=4000))
    assert (out / "model.safetensors.index.json").exists()
    export_run(trained_run, str(out), ExportConfig())
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "modeling_corpusmill.py",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files than an export; give a folder that is empty"):
        export_run(trained_run, str(tmp_path / "mine"), ExportConfig())
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(trained_run: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write export .*; free some space or give another folder"):
        export_run(trained_run, str(tmp_path / "file" / "out"), ExportConfig())


def test_the_command_says_what_it_wrote(trained_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["export", "--run", trained_run, "--out", out, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["layout"], said["step"], "config.json" in said["files"]) == ("corpusmill", 100, True)
    assert main(["export", "--run", trained_run, "--out", out, "--as", "gpt2"]) == 2
    assert main(["export", "--run", trained_run, "--out", out, "--as", "onnx"]) == 2
    assert main(["export", "--run", str(tmp_path / "none"), "--out", out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "sees a band of 8 tokens only" in lines[0]
    assert "export.layout: Input should be 'auto', 'gpt2' or 'corpusmill', got 'onnx'" in lines[1]
    assert "no training run in" in lines[2]


def test_the_modeling_file_keeps_the_rules_of_the_source(both, repository: Path, tmp_path: Path) -> None:
    written = Path(both.folders["banded"]) / "modeling_corpusmill.py"
    shutil.copy(written, tmp_path / written.name)
    ruff = [str(Path(sys.executable).parent / "ruff")]
    settings = ["--config", str(repository / "pyproject.toml")]
    for command in (["format", "--check"], ["check", "--ignore", "D102,N803,N806"]):
        done = subprocess.run(
            [*ruff, *command, *settings, str(tmp_path / written.name)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
