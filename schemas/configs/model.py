"""The shape of a GPT-3 model (Brown et al. 2020, section 2.1), without and with its vocabulary."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["ModelConfig", "ModelShape"]


class ModelShape(BaseModel):
    """Everything about a model but its vocabulary, which comes from the tokenizer of the mixture.

    Defaults are GPT-3 Small (125M). The band's width was never published: ours is 256, layer 0 is dense, odd layers
    are banded, and a band is at most a quarter of the context, so that the pattern stays sparse in small models too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    context: int = Field(default=2048, title="Context", description="positions the model sees at once, tokens", ge=4)
    layers: int = Field(default=12, title="Layers", description="transformer blocks", ge=1, le=1024)
    heads: int = Field(default=12, title="Heads", description="attention heads; must divide the width", ge=1)
    width: int = Field(default=768, title="Width", description="features of the residual stream", ge=8)
    sparse: bool = Field(
        default=True, title="Sparse", description="odd layers see a band of recent tokens only, as GPT-3's do"
    )
    band: int = Field(
        default=256, title="Band", description="tokens a banded layer sees, itself included; at most context / 4", ge=1
    )
    embedding_dropout: float = Field(
        default=0.0, title="Embedding dropout", description="after the embeddings", ge=0, lt=1
    )
    attention_dropout: float = Field(
        default=0.0, title="Attention dropout", description="on attention weights", ge=0, lt=1
    )
    residual_dropout: float = Field(
        default=0.0, title="Residual dropout", description="on what each block adds to the residual stream", ge=0, lt=1
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}; change one of them")
        if self.sparse and self.band > self.context // 4:
            raise ValueError(
                f"band {self.band} is over a quarter of the context {self.context}; "
                f"set band to {self.context // 4} or less, or sparse to false"
            )
        return self

    @property
    def head_width(self) -> int:
        """Features of one attention head."""
        return self.width // self.heads

    def band_of_layer(self, layer: int) -> int | None:
        """Tokens that a layer (counted from 0) sees, itself included; None for a dense layer."""
        return self.band if self.sparse and layer % 2 == 1 else None


class ModelConfig(ModelShape):
    """A whole model: its shape and its vocabulary."""

    vocabulary_size: int = Field(title="Vocabulary", description="token ids, end-of-text included", ge=2)

    @property
    def padded_vocabulary(self) -> int:
        """Rows of the embedding matrix: the vocabulary rounded up to a multiple of 64 (faster matrix kernels)."""
        return -(-self.vocabulary_size // 64) * 64

    def num_parameters(self) -> int:
        """Trained parameters; the tied embedding counts once, padding rows not at all.

        Per layer: attention 4D² + 4D, perceptron 8D² + 5D, two norms 4D.
        """
        per_layer = 12 * self.width**2 + 13 * self.width
        embeddings = (self.vocabulary_size + self.context) * self.width
        return embeddings + self.layers * per_layer + 2 * self.width
