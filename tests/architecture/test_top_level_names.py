"""Our top-level package names belong to us alone, and the wheel holds these packages and nothing else."""

from __future__ import annotations

import zipfile
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

PACKAGES = ("schemas", "pipelines", "training", "flows")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_ships_our_names(package: str, repository: Path):
    # An editable installation lists no files, so it is no owner here: any owner but ours is a stranger.
    assert set(packages_distributions().get(package, [])) <= {"corpusmill"}
    assert Path(import_module(package).__file__ or "").parent == repository / package


def test_wheel_holds_our_packages_and_their_data(tmp_path: Path, repository: Path):
    builder = WheelBuilder(str(repository))
    (wheel,) = builder.build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    shipped = {
        path.relative_to(repository).as_posix()
        for package in PACKAGES
        for path in (repository / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    java = repository / "infra" / "flink"  # the jars are built from it where a cluster is started
    shipped |= {f"flows/flink/java/{path.relative_to(java).as_posix()}" for path in java.rglob("*") if path.is_file()}
    shipped.add("flows/services/prefect.yaml")  # from the root, where `prefect deploy` looks for it
    assert shipped == {name for name in names if ".dist-info" not in name}
