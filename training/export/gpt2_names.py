"""Our tensors under GPT-2's names in Hugging Face's layout, and back.

GPT-2's linear layers are `Conv1D`: their weights are (inputs, outputs), ours (outputs, inputs). The output matrix is
tied to the embedding and not stored. Rows that only pad our vocabulary are cut off, and come back as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from schemas.configs.model import ModelConfig

__all__ = ["PREFIX", "ours_of", "pairs_of_names", "theirs_of"]

PREFIX = "transformer."
_EMBEDDING = "token_embedding.weight"
_ENDS = {
    _EMBEDDING: "wte.weight",
    "position_embedding.weight": "wpe.weight",
    "norm.weight": "ln_f.weight",
    "norm.bias": "ln_f.bias",
}
_OF_BLOCK = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "perceptron_norm": "ln_2",
    "perceptron.expand": "mlp.c_fc",
    "perceptron.projection": "mlp.c_proj",
}


def pairs_of_names(layers: int) -> dict[str, str]:
    """Their name of each of our tensors, without the prefix `transformer.`, which not all files have."""
    pairs = dict(_ENDS)
    for layer in range(layers):
        for ours, theirs in _OF_BLOCK.items():
            for part in ("weight", "bias"):
                pairs[f"blocks.{layer}.{ours}.{part}"] = f"h.{layer}.{theirs}.{part}"
    return pairs


def _turned(name: str, tensor: Tensor) -> Tensor:
    """A tensor in the other side's orientation: the weights of linear layers transposed, all else as it is."""
    is_linear = name.startswith("blocks.") and "norm" not in name and name.endswith("weight")
    return tensor.T.contiguous() if is_linear else tensor


def theirs_of(state: dict[str, Tensor], model: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """Their names and tensors, one after another in their order of layers."""
    for ours, theirs in pairs_of_names(model.layers).items():
        tensor = state[ours][: model.vocabulary_size] if ours == _EMBEDDING else state[ours]
        yield PREFIX + theirs, _turned(ours, tensor)


def ours_of(theirs: dict[str, Tensor], model: ModelConfig) -> dict[str, Tensor]:
    """Our state from their tensors, named without prefix; all names and shapes have been checked."""
    state = {}
    for name, other in pairs_of_names(model.layers).items():
        tensor = _turned(name, theirs[other].to(torch.float32))
        if name == _EMBEDDING:
            padded = torch.zeros(model.padded_vocabulary, model.width)
            padded[: model.vocabulary_size] = tensor[: model.vocabulary_size]
            tensor = padded
        state[name] = tensor
    return state
