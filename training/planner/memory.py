"""Bytes that one device holds at the fullest moment of training, counted from what the model keeps.

Counted tensor by tensor, as `training.model` and `training.loop` make them; a test compares the counts with what
PyTorch keeps. D is the width, e the bytes of a number in matrix products (2 in bf16, 4 in fp32); a layer keeps for each
token, beside attention,

    the residual stream before each norm     4D + 4D
    what goes into the four linear layers    eD + eD + eD + 4eD
    what goes into GELU                      4eD

and of attention queries, keys and values, 3eD, with the weights where they are written out (a banded layer holds each
key and value in two blocks, 5eD). Weights, gradients and Adam's two moments are fp32: 16 bytes a parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from schemas.configs.model import ModelConfig

__all__ = [
    "CHECKPOINTING",
    "PROCESS_BYTES",
    "Checkpointing",
    "Device",
    "Layout",
    "Memory",
    "Sharding",
    "activation_bytes",
    "checkpoint_bytes",
    "peak_memory",
    "stored_parameters",
]

Checkpointing = Literal["none", "selective", "block"]
Sharding = Literal["none", "ddp", "fsdp"]
Device = Literal["cpu", "cuda"]

CHECKPOINTING: tuple[Checkpointing, ...] = ("none", "selective", "block")
_NUMBER = 4  # bytes of weights, gradients, moments and the residual stream
_STATISTICS = 16  # mean and inverse deviation of two norms
# As in `training.model.attention`: up to here a CPU writes the weights of dense layers out, in bf16 or with dropout.
_EXPLICIT_LENGTH = 512
# As in `training.model.loss`: logits at once.
_LOGITS = 2**25
# As in `training.loop.validation`.
_VALIDATION_WINDOWS = 8
# On a CPU: pages of libraries that are first used in a step, and small blocks that the C library keeps. Measured with
# 4 layers x 256 and 6 x 384, beyond the tensors.
PROCESS_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a step is spread: over devices, and over micro-batches one after another."""

    batch: int
    micro_batch: int
    gpus: int = 1
    sharding: Sharding = "none"
    checkpointing: Checkpointing = "none"

    @property
    def accumulates(self) -> bool:
        """Whether a step takes more than one micro-batch on a device."""
        return self.micro_batch * self.gpus < self.batch


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one device at its fullest moment; gradients come while activations go, so seldom both are whole."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    buffers: int

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(getattr(self, field.name) for field in fields(self))


def stored_parameters(model: ModelConfig) -> int:
    """Parameters as they lie in memory: with the padding rows of the embedding."""
    return model.num_parameters() + (model.padded_vocabulary - model.vocabulary_size) * model.width


def _layer_parameters(model: ModelConfig) -> int:
    return 12 * model.width**2 + 13 * model.width


def _attention_bytes(model: ModelConfig, band: int | None, size: int, device: Device) -> int:
    """What attention keeps for a token between its two linear layers."""
    dropout = model.attention_dropout > 0
    weights = 0
    if band is not None:
        # Queries are cut in blocks of the band, the last one filled up.
        filled = -(-model.context // band) * band / model.context
        kept, weights = int(5 * size * model.width * filled), int(2 * band * model.heads * filled)
    else:
        kept = 3 * size * model.width
        if device == "cpu" and (dropout or (model.context <= _EXPLICIT_LENGTH and size != _NUMBER)):
            weights = model.context * model.heads
        else:
            kept += 4 * model.heads  # the logarithm of each query's sum
    return kept + weights * (size + dropout * (size + _noise_bytes(size, device)))


def _noise_bytes(size: int, device: Device) -> int:
    """What dropout keeps for a number of `size` bytes: a mask, or on a CPU the factor itself."""
    return size if device == "cpu" else 1


def _layer_bytes(model: ModelConfig, band: int | None, size: int, device: Device) -> int:
    residual = 2 * model.width * _noise_bytes(size, device) if model.residual_dropout > 0 else 0
    linear = (2 * _NUMBER + 11 * size) * model.width
    return linear + _STATISTICS + residual + _attention_bytes(model, band, size, device)


def activation_bytes(
    model: ModelConfig, size: int, device: Device = "cuda", checkpointing: Checkpointing = "none"
) -> int:
    """What the model keeps for the backward pass, for each token, logits not counted.

    Args:
        model: the model.
        size: bytes of a number in matrix products, 2 or 4.
        device: decides which kernels attend.
        checkpointing: `none` keeps all; `selective` what matrix products gave, the rest is computed again; `block` the
            input of each block. With the last two, one layer at a time is whole.
    """
    layers = [_layer_bytes(model, model.band_of_layer(layer), size, device) for layer in range(model.layers)]
    ends = (_NUMBER + size) * model.width + _STATISTICS // 2
    if model.embedding_dropout > 0:
        ends += _noise_bytes(_NUMBER, device) * model.width
    if checkpointing == "none":
        return sum(layers) + ends
    kept = _NUMBER * model.width + (10 * size * model.width if checkpointing == "selective" else 0)
    return model.layers * kept + max(layers) + ends


def _positions_at_once(model: ModelConfig, tokens: int) -> int:
    return min(tokens, max(1, _LOGITS // model.vocabulary_size))


def _loss_bytes(model: ModelConfig, tokens: int, size: int, device: Device) -> int:
    """What the loss of so many tokens holds beside weights and their gradient.

    Of a chunk: its logits, the probabilities made of them in fp32, and these in the precision of matrix products; a CPU
    turns logits into fp32 before. Of all tokens: the last hidden state, once more without ignored rows, its gradient.
    """
    low = size if size != _NUMBER else 0
    a_logit = size + _NUMBER + (max(low, _NUMBER) if low and device == "cpu" else low)
    hidden = 2 * size + _NUMBER if low else size + _NUMBER
    return _positions_at_once(model, tokens) * a_logit * model.vocabulary_size + tokens * hidden * model.width


def _state(model: ModelConfig, layout: Layout, moments: int) -> tuple[int, int, int]:
    """Weights, gradients and moments of one device."""
    shares = layout.gpus if layout.sharding == "fsdp" else 1
    weights = -(-_NUMBER * stored_parameters(model) // shares)
    return weights, weights, moments * weights


def _buffers(model: ModelConfig, layout: Layout, size: int) -> int:
    """Copies of weights in the precision of matrix products; with FSDP of a layer and the next, with its gradients."""
    embeddings = (model.padded_vocabulary + model.context) * model.width
    if layout.sharding == "fsdp":
        layer = _layer_parameters(model)
        return 2 * size * layer + (size + _NUMBER) * layer + size * embeddings
    if size == _NUMBER:
        return 0
    # Norms and positions are not multiplied.
    return size * (model.layers * (_layer_parameters(model) - 4 * model.width) + model.padded_vocabulary * model.width)


def peak_memory(
    model: ModelConfig, layout: Layout, *, size: int = 2, device: Device = "cuda", moments: int = 2, windows: int = 0
) -> Memory:
    """What one device holds at its fullest moment.

    Moments looked at: the loss with its gradient, when activations are whole; the beginning of the backward pass; its
    end, when gradients are whole; and the loss on held-out windows.

    Args:
        model: the model.
        layout: how a step is spread.
        size: bytes of a number in matrix products, 2 or 4.
        device: decides which kernels attend.
        moments: tensors that the optimizer keeps for each weight.
        windows: held-out windows that validation reads at most; it takes eight at once.
    """
    weights, gradients, optimizer = _state(model, layout, moments)
    tokens, low = layout.micro_batch * model.context, size if size != _NUMBER else 0
    activations = tokens * activation_bytes(model, size, device, layout.checkpointing)
    buffers = _buffers(model, layout, size) + (PROCESS_BYTES if device == "cpu" else 0)
    embedding = model.padded_vocabulary * model.width
    held = gradients if layout.accumulates or layout.sharding == "ddp" else 0
    logits = _loss_bytes(model, tokens, size, device)
    of_chunk = _positions_at_once(model, tokens) * size * model.vocabulary_size  # beside its part of the gradient
    read = min(windows, _VALIDATION_WINDOWS) * model.context
    of_validation = _positions_at_once(model, read) * (low + 2 * _NUMBER) * model.vocabulary_size
    last = low * embedding + (PROCESS_BYTES if device == "cpu" else 0)
    # (gradients, activations, logits, buffers); the loss makes the gradient of the output matrix chunk by chunk
    moments_of_step = [
        (held, activations, logits, buffers + _NUMBER * embedding),
        (held, activations, of_chunk, buffers + (size + _NUMBER) * embedding),
        (held, activations, 2 * _NUMBER * tokens * model.width, buffers + 2 * _NUMBER * embedding),
        (gradients, 0, 0, last + _NUMBER * embedding),
        (gradients, 0, of_validation, buffers),
    ]
    fullest = max(moments_of_step, key=sum)
    return Memory(
        parameters=weights,
        gradients=fullest[0],
        optimizer=optimizer,
        activations=fullest[1],
        logits=fullest[2],
        buffers=fullest[3],
    )


def checkpoint_bytes(model: ModelConfig, moments: int = 2) -> int:
    """Bytes of one checkpoint: fp32 weights and the optimizer's tensors."""
    return (1 + moments) * _NUMBER * stored_parameters(model)
