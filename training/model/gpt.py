"""The GPT-3 model (Brown et al. 2020, section 2.1; Radford et al. 2019, section 2.3 for what it inherits from GPT-2).

Learned positions, LayerNorm before each part and at the end, the output matrix tied to the embedding.
Shape legend: see `training.model.attention`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask

from schemas.configs.model import ModelConfig
from training.model.block import Block
from training.model.cache import KeyValueCache
from training.model.flex import batch_mask, shape_mask
from training.model.layers import empty_embedding
from training.model.loss import chunked_loss

__all__ = ["GPT", "INIT_STD"]

INIT_STD = 0.02


class GPT(nn.Module):
    """A GPT-3 model with fresh weights; its weights depend on `config` and `seed` alone.

    On the device `meta` it has none yet: `initialize` sets them once there is memory for them.

    Weights are N(0, 0.02); those of the matrices that write into the residual stream are scaled by 1/sqrt(2·layers),
    since as many of them add up in it (Radford et al. 2019, section 2.3). Biases are 0, LayerNorm gains 1.
    """

    def __init__(self, config: ModelConfig, seed: int = 0, device: str = "cpu") -> None:
        super().__init__()
        self.config = config
        with torch.device(device):
            self.token_embedding = empty_embedding(config.padded_vocabulary, config.width)
            self.position_embedding = empty_embedding(config.context, config.width)
            self.dropout = nn.Dropout(config.embedding_dropout)
            self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
            self.norm = nn.LayerNorm(config.width)
        if device != "meta":
            self.initialize(seed)

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Set all weights; where they are sharded, each rank draws all of them and keeps its own part."""
        generator = torch.Generator().manual_seed(seed)
        residual_std = INIT_STD / math.sqrt(2 * self.config.layers)
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding):
                _draw(module.weight, INIT_STD, generator)
            elif isinstance(module, nn.Linear):
                _draw(module.weight, residual_std if name.endswith("projection") else INIT_STD, generator)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(
        self,
        tokens_BT: Tensor,
        cache: KeyValueCache | None = None,
        labels_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """Logits of the token that follows each position, or their loss.

        Args:
            tokens_BT: token ids, int64; they go on where `cache` ends.
            cache: earlier positions of the same sequences; extended in place.
            labels_BT: what followed; the logits of the whole batch are never in memory then.
            documents_BT: number of each position's document; attention ends where the number changes.
            positions_BT: which learned position each token has; counted on from `cache` where not given.

        Returns:
            Logits (B, T, V) over the true vocabulary; padding rows of the embedding give none. With labels the
            cross-entropy in nats, float32, summed over all but ignored ones.

        Raises:
            ValueError: the sequences are longer than the context.
        """
        x_BTD = self.hidden(tokens_BT, cache, documents_BT, positions_BT)
        if labels_BT is not None:
            vocabulary = self.config.vocabulary_size
            return chunked_loss(x_BTD.flatten(0, 1), self.token_embedding.weight, labels_BT.flatten(), vocabulary)
        return self.logits(x_BTD)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (…, V) of hidden states (…, D)."""
        return functional.linear(x, self.token_embedding.weight)[..., : self.config.vocabulary_size]

    def hidden(
        self,
        tokens_BT: Tensor,
        cache: KeyValueCache | None = None,
        documents_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
    ) -> Tensor:
        """What logits are made of, (B, T, D), after the last norm; see `forward`."""
        start = 0 if cache is None else cache.length
        end = start + tokens_BT.shape[1]
        if end > self.config.context:
            raise ValueError(f"{end} positions do not fit in a context of {self.config.context}; give fewer tokens")
        positions = torch.arange(start, end, device=tokens_BT.device) if positions_BT is None else positions_BT
        x_BTD = self.dropout(self.token_embedding(tokens_BT) + self.position_embedding(positions))
        masks = {} if cache is not None else self._masks(tokens_BT, documents_BT)
        for layer, block in enumerate(self.blocks):
            kept = None if cache is None else cache.layers[layer]
            x_BTD = block(x_BTD, kept, documents_BT, masks.get(self.config.band_of_layer(layer)))
        return self.norm(x_BTD)  # type: ignore[no-any-return]

    def _masks(self, tokens_BT: Tensor, documents_BT: Tensor | None) -> dict[int | None, BlockMask]:
        """By band, masks for the layers that FlexAttention computes: on a GPU, without dropout of weights."""
        if tokens_BT.device.type != "cuda" or (self.training and self.config.attention_dropout):
            return {}
        bands = {self.config.band_of_layer(layer) for layer in range(self.config.layers)}
        if documents_BT is not None:
            return {band: batch_mask(documents_BT, band) for band in bands}
        # Dense layers alone are faster by PyTorch's own flash kernel.
        return {band: shape_mask(tokens_BT.shape[1], band, tokens_BT.device) for band in bands - {None}}


def _draw(weight: Tensor, std: float, generator: torch.Generator) -> None:
    """Fill a matrix with N(0, std); of a sharded one, draw all rows and keep those that are here."""
    if not isinstance(weight, DTensor):
        nn.init.normal_(weight, std=std, generator=generator)
        return
    whole = torch.empty(weight.shape).normal_(std=std, generator=generator)
    weight.copy_(distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None))
