from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from token_corpus import PANICKING_TOKENIZER

from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.export import ExportConfig
from schemas.errors import ConfigError, InputError
from schemas.run import require_run
from training.checkpoints import load_model
from training.cli import main
from training.evaluation.evaluate import evaluate
from training.export.export import export_run
from training.export.import_model import import_model


@pytest.mark.parametrize("name", ["plain", "padded"])
def test_logits_equal_those_of_transformers(both, ours, name: str, tmp_path: Path) -> None:
    result = import_model(both.folders[name], str(tmp_path / "run"))
    assert (result.vocabulary, result.padding_rows) == (320, {"plain": 0, "padded": 64}[name])
    logits = ours.logits(str(tmp_path / "run"))
    torch.testing.assert_close(logits, both.logits[name][..., :320], rtol=0, atol=1e-4)


def test_greedy_tokens_equal_those_of_transformers(both, ours, tmp_path: Path) -> None:
    import_model(both.folders["plain"], str(tmp_path / "run"))
    assert ours.greedy(str(tmp_path / "run"), ours.start) == ours.until_end(both.facts["plain"]["greedy"])


def test_what_was_imported_is_exported_bit_for_bit(both, tmp_path: Path) -> None:
    import_model(both.folders["plain"], str(tmp_path / "run"))
    export_run(str(tmp_path / "run"), str(tmp_path / "out"), ExportConfig())
    first = load_file(Path(both.folders["plain"]) / "model.safetensors")
    again = load_file(tmp_path / "out" / "model.safetensors")
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", ["banded", "bf16"])
def test_an_export_is_taken_back_bands_and_all(both, name: str, tmp_path: Path) -> None:
    import_model(both.folders[name], str(tmp_path / "run"))
    back, first = load_model(str(tmp_path / "run")), load_model(both.runs["banded"])
    assert back.model_config == first.model_config
    same = {key: value.equal(back.model.state_dict()[key]) for key, value in first.model.state_dict().items()}
    padding = back.model.token_embedding.weight[320:]
    if name == "banded":
        assert {key for key, equal in same.items() if not equal} <= {"token_embedding.weight"}
        assert torch.equal(back.model.token_embedding.weight[:320], first.model.token_embedding.weight[:320])
    assert not padding.any()


def test_an_imported_run_generates_is_fine_tuned_and_scored(both, tmp_path: Path, capsys) -> None:
    run, tuned, pairs, items = (str(tmp_path / name) for name in ("run", "tuned", "pairs.jsonl", "items.jsonl"))
    assert main(["import", "--from", both.folders["plain"], "--run", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "imported"
    assert main(["import", "--from", both.folders["plain"], "--run", run]) == 0
    assert "status: imported before" in capsys.readouterr().out
    assert main(["generate", "--run", run, "--prompt", "the cat", "--max-tokens", "5"]) == 0
    Path(pairs).write_text('{"prompt": "the cat", "answer": " sees"}\n' * 4)
    assert main(["finetune", "--run", run, "--data", pairs, "--out", tuned, "--set", "batch=2"]) == 0
    item = {"id": "1", "context": "the", "choices": [" cat", " dog"], "answer": 0}
    Path(items).write_text(json.dumps(item) + "\n")
    suite = {"name": "small", "tasks": [{"name": "choice", "kind": "multiple_choice", "items": items}]}
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    scores = evaluate(run, str(tmp_path / "suite.json"), EvaluateConfig())
    assert (scores.kind, scores.step, scores.scores[0].n) == ("import", 0, 1)
    split = {"name": "split", "tasks": [{"name": "held-out", "kind": "perplexity", "split": "test"}]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    for one in (run, tuned):
        with pytest.raises(InputError, match="task held-out scores a split of the mixture that the run was trained on"):
            evaluate(one, str(tmp_path / "split.json"), EvaluateConfig())


def test_another_model_does_not_take_the_folder(both, tmp_path: Path) -> None:
    import_model(both.folders["plain"], str(tmp_path / "run"))
    before = require_run(str(tmp_path / "run"))
    with pytest.raises(ConfigError, match="weights was"):
        import_model(both.folders["padded"], str(tmp_path / "run"))
    assert require_run(str(tmp_path / "run")) == before


@pytest.fixture
def changed(both, tmp_path: Path) -> Callable[..., str]:
    """A copy of the plain model's folder with keys of its configuration, or tensors, changed."""

    def change(tensors: Callable[[dict[str, torch.Tensor]], None] | None = None, **keys: Any) -> str:
        folder = tmp_path / "changed"
        shutil.copytree(both.folders["plain"], folder)
        config = json.loads((folder / "config.json").read_text()) | keys
        kept = {key: value for key, value in config.items() if value != "REMOVED"}
        (folder / "config.json").write_text(json.dumps(kept))
        if tensors is not None:
            content = load_file(folder / "model.safetensors")
            tensors(content)
            save_file(content, folder / "model.safetensors", metadata={"format": "pt"})
        return str(folder)

    return change


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_type": "llama"}, "is of model_type 'llama'; gpt2 and corpusmill are what can be taken over"),
        ({"activation_function": "relu"}, "activation_function is 'relu', and our model has 'gelu_new'; such a model"),
        ({"layer_norm_epsilon": 1e-6}, "layer_norm_epsilon is 1e-06, and our model has 1e-05"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"n_inner": 100}, "n_inner is 100, and our perceptron is 4 x n_embd wide"),
        ({"n_positions": "REMOVED"}, "does not say n_positions; give a folder that transformers has written"),
        ({"n_head": 5}, "describes no model of ours: .*width 32 is not a multiple of heads 5"),
        ({"n_layer": "many"}, "describes no model of ours: invalid literal for int"),
        ({"vocab_size": 300}, "vocab_size is 300, and the tokenizer has 320 ids; give the tokenizer of this model"),
        ({"eos_token_id": 50256}, "eos_token_id is 50256, which the tokenizer does not have; set it to the id"),
        (
            {"n_positions": 64},
            r"wpe.weight has shape \(32, 32\), and config.json asks for \(64, 32\); give the weights",
        ),
        ({"n_layer": 4}, r"12 tensors are missing .* and 0 are strange .*; give the weights of a GPT-2 language model"),
        ({"layer_types": ["sliding_attention"] * 3}, "and ours alternate from full_attention on; it cannot be taken"),
    ],
)
def test_a_model_that_is_not_ours_is_refused_by_name(
    changed, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        import_model(changed(**keys), str(tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_output_matrix_of_its_own_is_refused_and_a_copy_is_taken(changed, tmp_path: Path) -> None:
    def untie(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"] + 1

    with pytest.raises(InputError, match=r"lm_head\.weight differs from the embedding, and in our model they are one"):
        import_model(changed(untie), str(tmp_path / "run"))


def test_old_files_without_prefix_with_masks_and_with_a_copied_head_load(changed, ours, both, tmp_path: Path) -> None:
    def old(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        tensors["h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
        tensors["lm_head.weight"] = tensors["wte.weight"].clone()

    import_model(changed(old), str(tmp_path / "run"))
    torch.testing.assert_close(ours.logits(str(tmp_path / "run")), both.logits["plain"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "no config.json in .*; give a folder that `save_pretrained` has written"),
        ("config.json", "{", "config.json is no JSON"),
        ("config.json", "[]", "config.json holds no JSON object; copy it again"),
        ("tokenizer.json", None, "no tokenizer in .*; name its tokenizer.json with --tokenizer"),
        ("tokenizer.json", "{}", "is no tokenizer: .*; give the tokenizer.json of this model"),
        ("tokenizer.json", PANICKING_TOKENIZER, "is no tokenizer: PanicException: .*; give the tokenizer.json"),
        ("model.safetensors", None, "has neither model.safetensors nor model.safetensors.index.json"),
        ("model.safetensors", "damaged", "cannot read weights .*; copy the file again"),
    ],
)
def test_missing_and_damaged_files_are_said(
    changed, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    folder = changed()
    path = Path(folder) / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        import_model(folder, str(tmp_path / "run"))


def test_a_damaged_index_is_said(changed, tmp_path: Path) -> None:
    folder = changed()
    (Path(folder) / "model.safetensors").unlink()
    (Path(folder) / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"model.safetensors.index.json is damaged \(TypeError\); save the model again"
    ):
        import_model(folder, str(tmp_path / "run"))


def test_a_tokenizer_from_elsewhere_is_taken(changed, tmp_path: Path) -> None:
    folder = changed()
    (Path(folder) / "tokenizer.json").rename(tmp_path / "other.json")
    assert import_model(folder, str(tmp_path / "run"), str(tmp_path / "other.json")).status == "imported"
    assert (tmp_path / "run" / "tokenizer.json").read_bytes() == (tmp_path / "other.json").read_bytes()
