"""Activations that are computed again in the backward pass instead of kept: of each operation, or of whole blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

__all__ = ["Recompute", "recomputed"]

Recompute = Literal["none", "selective", "block"]

_aten = torch.ops.aten
# What costs most to compute; LayerNorm, GELU, dropout and additions are cheap, and are most of what would be kept.
_KEPT = frozenset(
    [
        _aten.mm.default,
        _aten.addmm.default,
        _aten.bmm.default,
        _aten.baddbmm.default,
        _aten._scaled_dot_product_flash_attention.default,
        _aten._scaled_dot_product_efficient_attention.default,
        _aten._scaled_dot_product_cudnn_attention.default,
        _aten._scaled_dot_product_flash_attention_for_cpu.default,
        torch.ops.higher_order.flex_attention,
    ]
)


def _policy(_context: Any, operation: Any, *_given: Any, **_named: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in _KEPT else CheckpointPolicy.PREFER_RECOMPUTE


def recomputed(what: Recompute, compute: Callable[..., Tensor], *given: Any) -> Tensor:
    """What `compute` gives; what it needs for its gradient is kept, or computed again, as `what` says.

    Dropout draws the same again.
    """
    if what == "none":
        return compute(*given)
    named: dict[str, Any] = {"use_reentrant": False}
    if what == "selective":
        named["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    return checkpoint(compute, *given, **named)
