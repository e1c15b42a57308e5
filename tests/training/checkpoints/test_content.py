from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.checkpoints.content import content_digests


def with_metadata_turned_round(path: Path) -> bytes:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(reversed(header["__metadata__"].items()))
    return (
        struct.pack("<Q", length)
        + json.dumps(header, separators=(",", ":")).ljust(length).encode()
        + data[8 + length :]
    )


def test_the_order_of_metadata_does_not_count_and_every_bit_of_a_tensor_does(tmp_path: Path) -> None:
    folders = [tmp_path / name / "model" for name in ("one", "turned", "other")]
    for folder in folders:
        folder.mkdir(parents=True)
        tensor = torch.arange(6.0).reshape(2, 3)
        if folder.parent.name == "other":
            tensor[1, 2] = torch.nextafter(tensor[1, 2], torch.tensor(9.0))
        save_file({"a": tensor, "b": torch.ones(2)}, folder / "x.safetensors", {"first": "1", "second": "2"})
    turned = folders[1] / "x.safetensors"
    turned.write_bytes(with_metadata_turned_round(folders[0] / "x.safetensors"))
    assert turned.read_bytes() != (folders[0] / "x.safetensors").read_bytes()
    one, other, another = (content_digests(folder.parent) for folder in folders)
    assert list(one) == ["model/x.safetensors"]
    assert one == other
    assert one != another
