"""The GPT-3 model (Brown et al. 2020, section 2.1; Radford et al. 2019, section 2.3 for what it inherits from GPT-2).

Learned positions, LayerNorm before each part and at the end, the output matrix tied to the embedding.
Shape legend: see `training.model.attention`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.configs.model import ModelConfig
from training.model.block import Block
from training.model.cache import KeyValueCache
from training.model.layers import empty_embedding

__all__ = ["GPT", "INIT_STD"]

INIT_STD = 0.02


class GPT(nn.Module):
    """A GPT-3 model with fresh weights; its weights depend on `config` and `seed` alone.

    Weights are N(0, 0.02); those of the matrices that write into the residual stream are scaled by 1/sqrt(2·layers),
    since as many of them add up in it (Radford et al. 2019, section 2.3). Biases are 0, LayerNorm gains 1.
    """

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = empty_embedding(config.padded_vocabulary, config.width)
        self.position_embedding = empty_embedding(config.context, config.width)
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self._initialize(torch.Generator().manual_seed(seed))

    def _initialize(self, generator: torch.Generator) -> None:
        residual_std = INIT_STD / math.sqrt(2 * self.config.layers)
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=INIT_STD, generator=generator)
            elif isinstance(module, nn.Linear):
                std = residual_std if name.endswith("projection") else INIT_STD
                nn.init.normal_(module.weight, std=std, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, tokens_BT: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """Logits of the token that follows each position.

        Args:
            tokens_BT: token ids, int64; they go on where `cache` ends.
            cache: earlier positions of the same sequences; extended in place.

        Returns:
            Logits (B, T, V) over the true vocabulary; padding rows of the embedding give none.

        Raises:
            ValueError: the sequences are longer than the context.
        """
        start = 0 if cache is None else cache.length
        end = start + tokens_BT.shape[1]
        if end > self.config.context:
            raise ValueError(f"{end} positions do not fit in a context of {self.config.context}; give fewer tokens")
        positions_T = torch.arange(start, end, device=tokens_BT.device)
        x_BTD = self.dropout(self.token_embedding(tokens_BT) + self.position_embedding(positions_T))
        for layer, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, None if cache is None else cache.layers[layer])
        logits_BTP = functional.linear(self.norm(x_BTD), self.token_embedding.weight)
        return logits_BTP[..., : self.config.vocabulary_size]
