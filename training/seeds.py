"""Seeds for one use each, derived from what they are for."""

from __future__ import annotations

import hashlib
import struct

__all__ = ["derived_seed"]


def derived_seed(purpose: str, *numbers: int) -> int:
    """A seed for one use: 63 bits that depend on all of `numbers` and on what they are for."""
    key = purpose.encode("utf-8") + struct.pack(f">{len(numbers)}q", *numbers)
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
