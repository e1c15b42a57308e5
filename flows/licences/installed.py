"""The packages of an environment, or those of a lock, as their own metadata describes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from flows.licences.judging import Licence, judge
from schemas.errors import InputError

__all__ = ["PROJECT", "Package", "installed_packages", "locked_packages"]

PROJECT = "corpusmill"
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\\n]+?))?\s*\\?$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One installed package; `needs` are the names of those that it requires here."""

    name: str
    version: str
    licence: Licence
    needs: tuple[str, ...]


def _needs(distribution: Distribution) -> tuple[str, ...]:
    names = set()
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # of a package from long ago; an installer has understood it
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names.add(canonicalize_name(requirement.name))
    return tuple(sorted(names))


def _package(distribution: Distribution) -> Package:
    metadata = distribution.metadata
    licence = judge(
        metadata["License-Expression"] or "", metadata.get_all("Classifier") or (), metadata["License"] or ""
    )
    return Package(canonicalize_name(metadata["Name"]), distribution.version, licence, _needs(distribution))


def installed_packages() -> list[Package]:
    """All packages of this environment but our own, by name."""
    found = {one.name: one for one in map(_package, distributions()) if one.name != PROJECT}
    return sorted(found.values(), key=lambda one: one.name)


def locked_packages(lock: Path) -> list[Package]:
    """Those that a lock installs on this machine, by name.

    Args:
        lock: a file of `requirements/`, or any with lines `name==version`, with or without a marker.

    Raises:
        InputError: it cannot be read, pins nothing, or one of its packages is not installed in that version.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {lock}: {error.strerror}; give a file of `requirements/`") from error
    pins = [
        (canonicalize_name(name), version)
        for name, version, marker in _PIN.findall(text)
        if not marker or Marker(marker).evaluate()
    ]
    if not pins:
        raise InputError(f"{lock} pins no package; give a file with lines such as numpy==2.1.0")
    known = {one.name: one for one in installed_packages()}
    for name, version in pins:
        there = known[name].version if name in known else "none"
        if there != version:
            raise InputError(
                f"{lock} has {name} {version}, and installed is {there}; licences are read from what is installed: "
                "run this in an environment or image that is made of the lock"
            )
    return sorted((known[name] for name, _ in pins), key=lambda one: one.name)
