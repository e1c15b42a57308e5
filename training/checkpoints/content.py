"""Whether two checkpoints hold the same, down to the last bit."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["content_digests"]

_SHARDING = "DCP_SHARDING_INFO"


def _tensors(path: Path) -> Iterator[tuple[str, bytes]]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    places = json.loads(header.pop("__metadata__", {}).get(_SHARDING, "{}"))
    for name, about in header.items():
        start, stop = (8 + length + offset for offset in about["data_offsets"])
        described = f"{about['dtype']} {about['shape']}".encode()
        yield f"{name} {json.dumps(places.get(name, {}), sort_keys=True)}", described + data[start:stop]


def content_digests(folder: Path) -> dict[str, str]:
    """BLAKE2b of each tensor in a checkpoint, by its part, its name and where it begins in the whole tensor.

    Files of the same tensors may differ: PyTorch spreads what all ranks have over their files, not always alike, and
    the safetensors library writes metadata in any order.

    Args:
        folder: the checkpoint's.
    """
    return {
        f"{path.parent.name}/{name}": hashlib.blake2b(content, digest_size=32).hexdigest()
        for path in sorted(folder.rglob("*.safetensors"))
        for name, content in _tensors(path)
    }
