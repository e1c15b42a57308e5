"""The files of `infra/`, read once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfiles import Stage, read_stages

# Of Compose: ${NAME}, ${NAME:-default}, ${NAME:?message}.
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolate(text: str) -> str:
    """What Compose makes of a value, with `NAME` itself for what has no default."""
    return _VARIABLE.sub(lambda found: found[3] if found[2] == "-" else found[1], text)


@pytest.fixture(scope="session")
def stages(repository: Path) -> dict[str, Stage]:
    """The stages of the images."""
    return read_stages(repository / "infra/images/Dockerfile")


@pytest.fixture(scope="session")
def raw_compose(repository: Path) -> dict[str, Any]:
    """`compose.yaml` as it stands."""
    return dict(yaml.safe_load((repository / "infra/compose/compose.yaml").read_text()))


@pytest.fixture(scope="session")
def compose(repository: Path) -> dict[str, Any]:
    """The same with its variables filled in."""
    return dict(yaml.safe_load(interpolate((repository / "infra/compose/compose.yaml").read_text())))


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return dict(compose["services"])
