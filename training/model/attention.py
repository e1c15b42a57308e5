"""Causal self-attention, dense or in a band of recent tokens.

Shape legend, here and in the other model modules: B sequences, T query positions, S key positions, D width, H heads,
K features of a head, V vocabulary, N blocks of a band, W width of the band.

Three ways lead to the same numbers: explicit weights under a mask, which all others are tested against and which alone
drops weights in a band; blocks of queries against their band, which costs T·2W; and FlexAttention on a GPU.

A banded layer is GPT-3's locally banded sparse attention (Brown et al. 2020, section 2.1, after Child et al. 2019,
"Generating Long Sequences with Sparse Transformers"): query i sees keys i-W+1 … i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask

from schemas.configs.model import ModelShape
from training.model.cache import LayerCache
from training.model.flex import flexible_attention
from training.model.layers import empty_linear

__all__ = ["Attention", "banded_attention", "dense_attention", "masked_attention", "same_document", "visible"]

# Up to this length explicit weights in bfloat16 are faster on a CPU than PyTorch's flash kernel, forward and backward
# together: at 256 positions, 16 × 6 heads of 64 features, one core 42 ms and 87 ms. In float32 it is 93 ms and 75 ms.
# Beyond it their memory weighs more.
_EXPLICIT_LENGTH = 512


def visible(queries_T: Tensor, keys_S: Tensor, band: int | None) -> Tensor:
    """Which keys each query sees, by absolute positions.

    Args:
        queries_T: positions of the queries.
        keys_S: positions of the keys.
        band: tokens a query sees, itself included; None for all before it.

    Returns:
        Booleans (T, S).
    """
    distance_TS = queries_T[:, None] - keys_S[None, :]
    seen_TS = distance_TS >= 0
    return seen_TS if band is None else seen_TS & (distance_TS < band)


def same_document(queries: Tensor, keys: Tensor) -> Tensor:
    """Which queries and keys are of one document.

    Args:
        queries: numbers of the queries' documents (…, T).
        keys: numbers of the keys' documents (…, S).

    Returns:
        Booleans (…, T, S).
    """
    return queries[..., :, None] == keys[..., None, :]


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """Attention by explicit weights over all pairs that `mask` allows.

    Args:
        q: queries (…, T, K).
        k: keys (…, S, K).
        v: values (…, S, K).
        mask: booleans that broadcast to (…, T, S); every query sees at least one key.
        dropout: share of weights set to 0.

    Returns:
        (…, T, K).
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return functional.dropout(scores.add_(_bias(mask, scores.dtype)).softmax(dim=-1), dropout) @ v


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)


def _causal_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, dropout: float) -> Tensor:
    """Explicit weights whose scale and mask are part of the product: a third less time than `masked_attention`."""
    batch, heads, length, features = q_BHTK.shape
    q, k, v = (x.reshape(batch * heads, length, features) for x in (q_BHTK, k_BHTK, v_BHTK))
    positions_T = torch.arange(length, device=q.device)
    bias_TT = _bias(visible(positions_T, positions_T, None), q.dtype)
    weights = torch.baddbmm(bias_TT, q, k.transpose(1, 2), alpha=features**-0.5).softmax(dim=-1)
    return (functional.dropout(weights, dropout) @ v).view(batch, heads, length, features)


def dense_attention(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, dropout: float, documents_BT: Tensor | None = None
) -> Tensor:
    """Causal attention to all positions before, or to those of them that are of the query's document."""
    length, device = q_BHTK.shape[2], q_BHTK.device
    explicit = device.type == "cpu" and length <= _EXPLICIT_LENGTH and (q_BHTK.dtype == torch.bfloat16 or dropout > 0)
    if documents_BT is None:
        if explicit:
            return _causal_attention(q_BHTK, k_BHTK, v_BHTK, dropout)
        return functional.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, dropout_p=dropout, is_causal=True)
    positions_T = torch.arange(length, device=device)
    mask = visible(positions_T, positions_T, None)
    if documents_BT is not None:
        mask = mask & same_document(documents_BT, documents_BT)[:, None]
    if explicit:
        return masked_attention(q_BHTK, k_BHTK, v_BHTK, mask, dropout)
    return functional.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, attn_mask=mask, dropout_p=dropout)


def _with_block_before(x_BHNWK: Tensor) -> Tensor:
    """Each block of `x` behind the block before it, (B, H, N, 2W, K); before the first there are zeros."""
    before = functional.pad(x_BHNWK[:, :, :-1], (0, 0, 0, 0, 1, 0))
    return torch.cat((before, x_BHNWK), dim=3)


def banded_attention(
    q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, band: int, dropout: float, documents_BT: Tensor | None = None
) -> Tensor:
    """Banded attention in T·2W instead of T·T pairs.

    Queries are cut in blocks of W; a block sees itself and the block before it, which hold all keys of its band
    (the blocking of Beltagy et al. 2020, "Longformer", section 3.1, with one-sided windows).
    """
    batch, heads, length, features = q_BHTK.shape
    if length <= band:
        return dense_attention(q_BHTK, k_BHTK, v_BHTK, dropout, documents_BT)
    blocks = -(-length // band)
    missing = blocks * band - length
    q, k, v = (
        functional.pad(x, (0, 0, 0, missing)).view(batch, heads, blocks, band, features)
        for x in (q_BHTK, k_BHTK, v_BHTK)
    )
    keys, values = (_with_block_before(x) for x in (k, v))
    positions_S = torch.arange(2 * band, device=q.device)
    mask = visible(positions_S[band:], positions_S, band).repeat(blocks, 1, 1)
    mask[0, :, :band] = False  # before the first block there is nothing
    if documents_BT is not None:
        documents = functional.pad(documents_BT, (0, missing), value=-1).view(batch, 1, blocks, band, 1)
        around = _with_block_before(documents)
        mask = mask & same_document(documents[..., 0], around[..., 0])
    mixed = masked_attention(q, keys, values, mask, dropout)
    return mixed.view(batch, heads, blocks * band, features)[:, :, :length]


class Attention(nn.Module):
    """Multi-head attention of one layer; `band` is None where the layer is dense."""

    def __init__(self, shape: ModelShape, band: int | None) -> None:
        super().__init__()
        self.heads = shape.heads
        self.band = band
        self.dropout = shape.attention_dropout
        self.qkv = empty_linear(shape.width, 3 * shape.width)
        self.projection = empty_linear(shape.width, shape.width)

    def forward(
        self,
        x_BTD: Tensor,
        cache: LayerCache | None = None,
        documents_BT: Tensor | None = None,
        mask: BlockMask | None = None,
    ) -> Tensor:
        """Mix each position with those it sees.

        Args:
            x_BTD: normalized residual stream.
            cache: keys and values of earlier positions; extended by those of `x_BTD`.
            documents_BT: number of each position's document, where attention ends at documents.
            mask: of blocks, where FlexAttention is to be used.

        Returns:
            What the layer adds, (B, T, D).
        """
        batch, length, width = x_BTD.shape
        qkv_B3HTK = self.qkv(x_BTD).view(batch, length, 3, self.heads, width // self.heads).permute(0, 2, 3, 1, 4)
        q_BHTK, k_BHTK, v_BHTK = qkv_B3HTK.unbind(1)
        if mask is not None:
            mixed_BHTK = flexible_attention(q_BHTK, k_BHTK, v_BHTK, mask)
        else:
            mixed_BHTK = self._attend(q_BHTK, k_BHTK, v_BHTK, cache, documents_BT)
        return self.projection(mixed_BHTK.transpose(1, 2).reshape(batch, length, width))  # type: ignore[no-any-return]

    def _attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, cache: LayerCache | None, documents_BT: Tensor | None
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if cache is not None and cache.length:
            queries_T = torch.arange(cache.length, cache.length + q_BHTK.shape[2], device=q_BHTK.device)
            k_BHSK, v_BHSK, keys_S = cache.extend(k_BHTK, v_BHTK)
            return masked_attention(q_BHTK, k_BHSK, v_BHSK, visible(queries_T, keys_S, self.band), dropout)
        if cache is not None:
            cache.extend(k_BHTK, v_BHTK)
        if self.band is not None:
            return banded_attention(q_BHTK, k_BHTK, v_BHTK, self.band, dropout, documents_BT)
        return dense_attention(q_BHTK, k_BHTK, v_BHTK, dropout, documents_BT)
