"""Keys and values of positions already seen, so that generation computes one new position a step."""

from __future__ import annotations

import torch
from torch import Tensor

from schemas.configs.model import ModelShape

__all__ = ["KeyValueCache", "LayerCache"]


class LayerCache:
    """Keys and values (B, H, S, K) of one layer; a banded layer keeps only those that a later query can still see."""

    def __init__(self, band: int | None) -> None:
        self.length = 0
        self._kept = None if band is None else band - 1
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def extend(self, k_BHTK: Tensor, v_BHTK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add the newest keys and values.

        Returns:
            Keys and values that the new queries may see, and the positions of those keys (S).
        """
        if self._keys is not None and self._values is not None:
            k_BHTK = torch.cat((self._keys, k_BHTK), dim=2)
            v_BHTK = torch.cat((self._values, v_BHTK), dim=2)
        added = k_BHTK.shape[2] - (0 if self._keys is None else self._keys.shape[2])
        self.length += added
        start = k_BHTK.shape[2] if self._kept is None else min(self._kept, k_BHTK.shape[2])
        self._keys, self._values = (x[:, :, x.shape[2] - start :] for x in (k_BHTK, v_BHTK))
        positions_S = torch.arange(self.length - k_BHTK.shape[2], self.length, device=k_BHTK.device)
        return k_BHTK, v_BHTK, positions_S

    def take(self, rows_R: Tensor) -> LayerCache:
        """A cache of its own for some of the sequences (R), each as often as it is named."""
        taken = LayerCache(None if self._kept is None else self._kept + 1)
        taken.length = self.length
        if self._keys is not None and self._values is not None:
            taken._keys, taken._values = self._keys[rows_R], self._values[rows_R]
        return taken


class KeyValueCache:
    """The caches of all layers of one model, for one batch of sequences of equal length."""

    def __init__(self, shape: ModelShape) -> None:
        self._shape = shape
        self.layers = [LayerCache(shape.band_of_layer(layer)) for layer in range(shape.layers)]

    @property
    def length(self) -> int:
        """Positions seen so far."""
        return self.layers[0].length

    def take(self, rows_R: Tensor) -> KeyValueCache:
        """The caches of some of the sequences (R), each as often as it is named; this one stays as it is."""
        taken = KeyValueCache(self._shape)
        taken.layers = [layer.take(rows_R) for layer in self.layers]
        return taken
