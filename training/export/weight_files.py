"""Weights of a Hugging Face folder: `model.safetensors`, or several files under an index of tensors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from schemas.errors import InputError

__all__ = ["read_weights", "write_weights"]

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Older versions of transformers refuse a file that does not say this.
_METADATA = {"format": "pt"}


def _files(folder: Path) -> list[Path]:
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    index = folder / _INDEX
    if not index.is_file():
        others = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "none"
        raise InputError(
            f"{folder} has neither {_SINGLE} nor {_INDEX} (files of the older kind: {others}); save the model with "
            "`save_pretrained(FOLDER, safe_serialization=True)`"
        )
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return [folder / Path(name).name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is damaged ({type(error).__name__}); save the model again") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, whichever files they are in.

    Raises:
        InputError: files are missing or damaged; the message names one.
    """
    tensors: dict[str, Tensor] = {}
    for path in _files(folder):
        try:
            tensors.update(load_file(path))
        except (OSError, SafetensorError) as error:
            raise InputError(f"cannot read weights {path}: {error}; copy the file again") from error
    return tensors


def _groups(tensors: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[dict[str, Tensor]]:
    group: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if group and size + tensor.nbytes > limit:
            yield group
            group, size = {}, 0
        group[name] = tensor
        size += tensor.nbytes
    yield group


def write_weights(folder: Path, tensors: Iterable[tuple[str, Tensor]], limit: int) -> list[str]:
    """Write tensors in order, in files of at most `limit` bytes unless one tensor has more; gives the files' names.

    Raises:
        OSError: the folder cannot be written.
        SafetensorError: the same, as its library says it.
    """
    written: list[tuple[str, list[str], int]] = []
    for number, group in enumerate(_groups(tensors, limit), start=1):
        name = f"part-{number:05d}"
        save_file({key: tensor.contiguous() for key, tensor in group.items()}, folder / name, metadata=_METADATA)
        written.append((name, list(group), sum(tensor.nbytes for tensor in group.values())))
    if len(written) == 1:
        (folder / written[0][0]).rename(folder / _SINGLE)
        return [_SINGLE]
    names, weight_map = [], {}
    for number, (temporary, keys, _) in enumerate(written, start=1):
        name = f"model-{number:05d}-of-{len(written):05d}.safetensors"
        (folder / temporary).rename(folder / name)
        names.append(name)
        weight_map.update(dict.fromkeys(keys, name))
    index = {"metadata": {"total_size": sum(size for _, _, size in written)}, "weight_map": weight_map}
    (folder / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return [*names, _INDEX]
