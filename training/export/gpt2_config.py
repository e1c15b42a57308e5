"""`config.json` of a Hugging Face folder: from a model's shape, and back; what our model is not is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.configs.model import ModelConfig
from schemas.errors import ConfigError, InputError

__all__ = [
    "CONFIG_NAME",
    "MODELING_MODULE",
    "MODEL_TYPE",
    "config_of",
    "has_bands",
    "model_of",
    "read_config",
    "require_plain",
]

CONFIG_NAME = "config.json"
MODEL_TYPE = "corpusmill"
MODELING_MODULE = "modeling_corpusmill"
_DENSE, _BANDED = "full_attention", "sliding_attention"
_DEFAULT_BAND = 256
_DROPOUT = 0.1  # of GPT-2 where a file leaves it out
# What GPT-2's configuration may say, and the one value that our model computes.
_FIXED: dict[str, Any] = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
_SAME_ACTIVATION = {"gelu_new", "gelu_pytorch_tanh"}


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a folder's `config.json`.

    Raises:
        InputError: it is missing or damaged.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise InputError(f"no {CONFIG_NAME} in {folder}; give a folder that `save_pretrained` has written")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}; copy it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object; copy it again")
    return content


def has_bands(model: ModelConfig) -> bool:
    """Whether any layer sees a band only: a sparse model of one layer has none."""
    return any(model.band_of_layer(layer) is not None for layer in range(model.layers))


def require_plain(model: ModelConfig) -> None:
    """Check that plain GPT-2 computes what this model does.

    Raises:
        ConfigError: it has banded layers.
    """
    if has_bands(model):
        raise ConfigError(
            f"export.layout is gpt2, and every second layer of this model sees a band of {model.band} tokens only, "
            "where GPT-2 sees all: its logits would be others; leave layout at auto, which writes a modeling file too"
        )


def config_of(model: ModelConfig, end_of_text: int, layout: str, precision: str) -> dict[str, Any]:
    """The content of `config.json`.

    Args:
        model: the model.
        end_of_text: begins and ends documents.
        layout: `gpt2` or `corpusmill`.
        precision: of the written weights, `fp32` or `bf16`.
    """
    plain = layout == "gpt2"
    content = {
        "architectures": ["GPT2LMHeadModel" if plain else "CorpusmillForCausalLM"],
        "model_type": "gpt2" if plain else MODEL_TYPE,
        "vocab_size": model.vocabulary_size,
        "n_positions": model.context,
        "n_embd": model.width,
        "n_layer": model.layers,
        "n_head": model.heads,
        "n_inner": None,
        "embd_pdrop": model.embedding_dropout,
        "attn_pdrop": model.attention_dropout,
        "resid_pdrop": model.residual_dropout,
        "initializer_range": 0.02,
        "use_cache": True,
        **_FIXED,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": "float32" if precision == "fp32" else "bfloat16",
    }
    if plain:
        return content
    bands = [model.band_of_layer(layer) for layer in range(model.layers)]
    return {
        **content,
        "auto_map": {
            "AutoConfig": f"{MODELING_MODULE}.CorpusmillConfig",
            "AutoModelForCausalLM": f"{MODELING_MODULE}.CorpusmillForCausalLM",
        },
        "layer_types": [_DENSE if band is None else _BANDED for band in bands],
        "sliding_window": model.band if has_bands(model) else None,
    }


def _require_ours(content: dict[str, Any], where: str) -> None:
    kind = content.get("model_type")
    if kind not in {"gpt2", MODEL_TYPE}:
        raise InputError(f"{where} is of model_type {kind!r}; gpt2 and {MODEL_TYPE} are what can be taken over")
    for key, wanted in _FIXED.items():
        value = content.get(key, wanted)
        if value != wanted and not (key == "activation_function" and value in _SAME_ACTIVATION):
            raise InputError(
                f"{where}: {key} is {value!r}, and our model has {wanted!r}; such a model cannot be taken over"
            )
    inner = content.get("n_inner")
    if inner is not None and inner != 4 * content.get("n_embd", 0):
        raise InputError(f"{where}: n_inner is {inner}, and our perceptron is 4 x n_embd wide; it cannot be taken over")


def _band(content: dict[str, Any], layers: int, where: str) -> int | None:
    kinds = content.get("layer_types")
    if kinds is None or set(kinds) == {_DENSE}:
        return None
    if kinds != [_BANDED if layer % 2 else _DENSE for layer in range(layers)]:
        raise InputError(
            f"{where}: layer_types are {kinds}, and ours alternate from {_DENSE} on; it cannot be taken over"
        )
    return int(content.get("sliding_window") or _DEFAULT_BAND)


def model_of(content: dict[str, Any], where: str, vocabulary: int) -> ModelConfig:
    """The model that a `config.json` describes.

    Args:
        content: what the file says.
        where: the file, for messages.
        vocabulary: token ids that the tokenizer has.

    Raises:
        InputError: our model cannot be this one; the message names the setting.
    """
    _require_ours(content, where)
    try:
        rows, layers = int(content["vocab_size"]), int(content["n_layer"])
        band = _band(content, layers, where)
        model = ModelConfig(
            context=content["n_positions"],
            layers=layers,
            heads=content["n_head"],
            width=content["n_embd"],
            sparse=band is not None,
            **({} if band is None else {"band": band}),
            embedding_dropout=content.get("embd_pdrop", _DROPOUT),
            attention_dropout=content.get("attn_pdrop", _DROPOUT),
            residual_dropout=content.get("resid_pdrop", _DROPOUT),
            vocabulary_size=min(rows, vocabulary),
        )
    except KeyError as error:
        raise InputError(
            f"{where} does not say {error.args[0]}; give a folder that transformers has written"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(map(str, first["loc"])) or "the shape"
        raise InputError(f"{where} describes no model of ours: {setting}: {first['msg']}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{where} describes no model of ours: {error}") from error
    if vocabulary > rows:
        raise InputError(
            f"{where}: vocab_size is {rows}, and the tokenizer has {vocabulary} ids; give the tokenizer of this model"
        )
    return model
