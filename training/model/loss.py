"""Cross-entropy of the next token without the logits of a whole batch in memory.

Shape legend: N positions, D width, V vocabulary, P rows of the embedding (the vocabulary padded), C positions at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["IGNORED_LABEL", "chunked_loss", "summed_loss"]

IGNORED_LABEL = -100  # positions with this label count neither in the loss nor in the number of tokens
# Logits at once: 128 MiB in float32. Fewer would have the gradient of the embedding added up more often: at 50,257
# tokens of 768 features it is 154 MB, read and written for every chunk.
_LOGITS = 2**25


def summed_loss(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Cross-entropy in nats, float32, summed over all labels but the ignored ones; 0 where all are ignored."""
    return functional.cross_entropy(
        logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORED_LABEL, reduction="sum"
    )


def _loss_and_gradient(logits_CV: Tensor, labels_C: Tensor) -> tuple[Tensor, Tensor]:
    """The summed loss of a chunk, and its gradient by the logits in float32, as if no label were ignored.

    Probabilities come from PyTorch's softmax, which is one pass over the logits; the logarithm of a row's sum is had
    from its likeliest token, whose probability is never small. By way of `logsumexp` and an exponential it was seven
    passes, a sixth of a step of 4 layers x 256 with 4,096 tokens on a CPU.
    """
    kept_C1 = (labels_C != IGNORED_LABEL)[:, None]
    targets_C1 = labels_C[:, None].where(kept_C1, 0)
    highest_C1, likeliest_C1 = logits_CV.max(-1, keepdim=True)
    gradient_CV = logits_CV.softmax(-1, dtype=torch.float32)
    log_sums_C1 = highest_C1.float() - gradient_CV.gather(1, likeliest_C1).log()
    losses_C1 = log_sums_C1 - logits_CV.gather(1, targets_C1).float()
    loss = losses_C1.where(kept_C1, 0.0).sum()
    gradient_CV.scatter_add_(1, targets_C1, -torch.ones_like(log_sums_C1))
    return loss, gradient_CV


class _ChunkedLoss(torch.autograd.Function):
    """The gradient is taken chunk by chunk in the forward pass, while the logits are there."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_PD: Tensor, labels_N: Tensor, vocabulary: int, at_once: int
    ) -> Tensor:
        kind = hidden_ND.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden_ND.dtype
        low_ND, low_VD = hidden_ND.to(dtype), weight_PD[:vocabulary].to(dtype)
        # Ignored rows are taken out where rows have D numbers, not V.
        ignored_N1 = (labels_N == IGNORED_LABEL)[:, None]
        hidden_gradient = torch.empty_like(hidden_ND)
        # Frozen embeddings, as beside adapters, want none.
        weight_gradient = torch.zeros_like(weight_PD) if ctx.needs_input_grad[1] else None
        learned_ND = low_ND.masked_fill(ignored_N1, 0.0)
        loss = hidden_ND.new_zeros((), dtype=torch.float32)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(hidden_ND), at_once):
                part = slice(start, start + at_once)
                logits_CV = low_ND[part] @ low_VD.T
                part_loss, gradient = _loss_and_gradient(logits_CV, labels_N[part])
                loss += part_loss
                gradient_CV = gradient.to(dtype)
                del logits_CV, gradient
                hidden_gradient[part] = gradient_CV @ low_VD
                if weight_gradient is not None:
                    weight_gradient[:vocabulary] += gradient_CV.T @ learned_ND[part]
                del gradient_CV  # else it would stay while the next chunk's logits are made
        hidden_gradient.masked_fill_(ignored_N1, 0.0)
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor, Tensor | None, None, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        weights = None if weight_gradient is None else weight_gradient * outputs[0]
        return hidden_gradient * outputs[0], weights, None, None, None


def chunked_loss(
    hidden_ND: Tensor, weight_PD: Tensor, labels_N: Tensor, vocabulary: int, logits_at_once: int = _LOGITS
) -> Tensor:
    """What `summed_loss` gives for the logits `hidden @ weight.T` over the true vocabulary, in bounded memory.

    No chunk's logits are computed twice: the gradient of a sum of losses needs the loss only as a factor.

    Args:
        hidden_ND: the last hidden state.
        weight_PD: the output matrix; rows from `vocabulary` on are padding and get no gradient.
        labels_N: of all positions.
        vocabulary: token ids there are.
        logits_at_once: bounds the memory; changes the result by rounding alone.
    """
    at_once = max(1, logits_at_once // vocabulary)
    if torch.is_grad_enabled():
        return _ChunkedLoss.apply(hidden_ND, weight_PD, labels_N, vocabulary, at_once)  # type: ignore[no-any-return]
    loss = hidden_ND.new_zeros((), dtype=torch.float32)
    for start in range(0, len(hidden_ND), at_once):
        part = slice(start, start + at_once)
        logits_CV = functional.linear(hidden_ND[part], weight_PD[:vocabulary])
        loss += functional.cross_entropy(logits_CV.float(), labels_N[part], ignore_index=IGNORED_LABEL, reduction="sum")
    return loss
