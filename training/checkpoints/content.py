"""Whether two checkpoints hold the same, down to the last bit."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

__all__ = ["content_digests"]


def content_digests(folder: Path) -> dict[str, str]:
    """BLAKE2b of the content of each file of tensors in a checkpoint, by path.

    Files of the same tensors differ where several metadata stand in a header: the safetensors library writes those in
    any order.
    """
    found = {}
    for path in sorted(folder.rglob("*.safetensors")):
        data = path.read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
        digest = hashlib.blake2b(header, digest_size=32)
        digest.update(data[8 + length :])
        found[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return found
