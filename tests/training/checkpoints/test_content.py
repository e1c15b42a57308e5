from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.checkpoints.content import content_digests


def write(folder: Path, files: dict[str, dict[str, torch.Tensor]], offsets: dict[str, int]) -> dict[str, str]:
    for name, tensors in files.items():
        path = folder / "model" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        places = {one: {"saved_offsets": [offsets.get(f"{name} {one}", 0)]} for one in tensors}
        save_file(tensors, path, {"DCP_SHARDING_INFO": json.dumps(places), "format": "pt"})
    return content_digests(folder)


def test_where_a_tensor_lies_does_not_count_and_every_bit_of_it_does(tmp_path: Path) -> None:
    a, b = torch.arange(6.0), torch.ones(2)
    halves = {"1 a": 0, "2 a": 3}
    one = write(tmp_path / "one", {"1": {"a": a[:3].clone(), "b": b}, "2": {"a": a[3:].clone()}}, halves)
    moved = write(tmp_path / "moved", {"1": {"a": a[:3].clone()}, "2": {"a": a[3:].clone(), "b": b}}, halves)
    assert len(one) == 3
    assert one == moved
    swapped = write(tmp_path / "swapped", {"1": {"a": a[3:].clone(), "b": b}, "2": {"a": a[:3].clone()}}, halves)
    b[1] = torch.nextafter(b[1], torch.tensor(9.0))
    other = write(tmp_path / "other", {"1": {"a": a[:3].clone(), "b": b}, "2": {"a": a[3:].clone()}}, halves)
    less = write(tmp_path / "less", {"1": {"a": a[:3].clone()}, "2": {"a": a[3:].clone()}}, halves)
    assert one not in (swapped, other, less)
