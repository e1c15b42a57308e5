"""Whether the unit of a stage on a partition is done, and if not, why: the stage's own unit beside its manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.engine.unit import Unit
from schemas.manifest import InputRecord, Manifest, read_manifest

__all__ = ["Look", "LookState", "compare", "differences"]

LookState = Literal["done", "stale", "missing", "blocked"]
_MOST_NAMED = 3
_COUNTED = re.compile(r"(\S+) of (\d+) partitions (before|in order)")


@dataclass(frozen=True)
class Look:
    """What manifests say of a stage on a partition.

    Attributes:
        state: done, stale (there, for other inputs or settings), missing, blocked (something that it reads is missing).
        reason: why; empty where the state says it.
        manifests: of the units that are there.
    """

    state: LookState
    reason: str = ""
    manifests: tuple[Manifest, ...] = ()


def _flat(value: Any, before: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {before: value}
    found: dict[str, Any] = {}
    for key, one in value.items():
        found |= _flat(one, f"{before}.{key}" if before else str(key))
    return found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, now = _flat(old), _flat(new)
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return [f"setting {name} was {_shown(before.get(name))}, is {_shown(now.get(name))}" for name in names]


def _earlier(name: str, old: Mapping[str, str]) -> str:
    """What has become of the partitions before, of which there are now as many as `name` says."""
    found = _COUNTED.fullmatch(name)
    if found is None:
        return f"{name} is new"
    table, number, _ = found.groups()
    were = [match for one in old if (match := _COUNTED.fullmatch(one)) and match[1] == table]
    if not were or were[0][2] == number:
        return f"{table} of an earlier partition changed"
    more = int(number) > int(were[0][2])
    return f"an earlier partition {'was filled in' if more else 'is gone'} ({were[0][2]} before it, now {number})"


def _inputs(old: tuple[InputRecord, ...], new: tuple[InputRecord, ...]) -> list[str]:
    before, now = {one.name: one.digest for one in old}, {one.name: one.digest for one in new}
    found = []
    for name, digest in now.items():
        if name in before and before[name] != digest:
            counted = _COUNTED.fullmatch(name)
            if name.startswith("tokenizers/"):
                found.append(f"{name.replace('tokenizers/', 'tokenizer ')} changed")
            else:
                found.append(f"{counted[1]} of an earlier partition changed" if counted else f"input {name} changed")
        elif name not in before:
            if name.startswith("tokenizers/"):
                found.append(f"another tokenizer, {name.removeprefix('tokenizers/')}")
            else:
                found.append(_earlier(name, before) if _COUNTED.fullmatch(name) else f"input {name} is new")
    gone = [name for name in before if name not in now and not _COUNTED.fullmatch(name)]
    return found + [f"input {name} is gone" for name in gone if not name.startswith("tokenizers/")]


def differences(manifest: Manifest, unit: Unit) -> str:
    """What is not as it was when a unit was done, the most telling first."""
    found = []
    if manifest.stage_version != unit.version:
        found.append(f"{unit.stage} is of version {unit.version}, it was done by version {manifest.stage_version}")
    found += _settings(manifest.config, unit.config.fingerprint_view())
    found += list(dict.fromkeys(_inputs(manifest.inputs, unit.inputs)))
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return "; ".join(found[:_MOST_NAMED]) + more or "its fingerprint is another"


def compare(unit: Unit) -> Look:
    """The unit beside the manifest that is in its folder."""
    manifest = read_manifest(unit.folder())
    if manifest is None:
        return Look("missing")
    if manifest.fingerprint == unit.fingerprint():
        return Look("done", "digest equal", (manifest,))
    return Look("stale", differences(manifest, unit), (manifest,))
