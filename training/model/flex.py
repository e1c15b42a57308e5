"""Attention of GPUs that skips what a layer does not see: PyTorch's FlexAttention, compiled, with masks of blocks.

The mask of a shape is made once; where documents bound attention, masks are of one batch. Without dropout, which
FlexAttention does not have. Shape legend: see `training.model.attention`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

__all__ = ["batch_mask", "flexible_attention", "shape_mask"]

Visible = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _causal(band: int | None) -> Visible:
    def sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) if band is None else (query >= key) & (query - key < band)

    return sees


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)


@lru_cache(maxsize=32)
def shape_mask(length: int, band: int | None, device: torch.device) -> BlockMask:
    """The mask of a layer over `length` positions."""
    return create_block_mask(_causal(band), None, None, length, length, device=device)


def batch_mask(documents_BT: Tensor, band: int | None) -> BlockMask:
    """The same, within documents: a query sees a key of its own document only."""
    batch, length = documents_BT.shape
    causal = _causal(band)

    def sees(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return causal(row, head, query, key) & (documents_BT[row, query] == documents_BT[row, key])

    return create_block_mask(sees, batch, None, length, length, device=documents_BT.device)


def flexible_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, mask: BlockMask) -> Tensor:
    """Attention to what `mask` shows, (B, H, T, K)."""
    given = (q_BHTK, k_BHTK, v_BHTK)
    on_cpu = q_BHTK.device.type == "cpu"
    found = flex_attention(*given, block_mask=mask) if on_cpu else _compiled()(*given, block_mask=mask)
    assert isinstance(found, Tensor)
    return found
