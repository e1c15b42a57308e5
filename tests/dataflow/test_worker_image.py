"""The image's recipe and lock fit what submits jobs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path


def pins(lock: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_workers_have_the_versions_that_submit(repository: Path) -> None:
    workers, ours = pins(repository / "requirements/worker.txt"), pins(repository / "requirements/dev.txt")
    assert {name: ours[name] for name in workers} == workers
    recipe = (repository / "infra/dataflow/Dockerfile").read_text()
    assert {re.search(r"^ARG BEAM=(.+)$", recipe, re.MULTILINE)[1]} == workers["apache-beam"]
    python = re.search(r"^ARG PYTHON=(.+)$", recipe, re.MULTILINE)[1]
    wanted = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11,<3.14"
    assert python in ("3.11", "3.12", "3.13")


def test_workers_have_every_package_that_a_data_stage_imports(repository: Path) -> None:
    """With all else hidden: what the lock of the image does not name cannot be imported."""
    program = """
import importlib.metadata as metadata, re, sys
allowed = {re.sub("[-_.]+", "-", name).lower() for name in sys.argv[1].split()}
hidden = {
    module for module, packages in metadata.packages_distributions().items()
    if not any(re.sub("[-_.]+", "-", one).lower() in allowed | {"corpusmill", "pip", "setuptools"} for one in packages)
}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r} in the image", name=name)
sys.meta_path.insert(0, Hide())
import pipelines.cleaning.transform, pipelines.dedup.find_edges, pipelines.dedup.sign_documents
import pipelines.tokens.transform, apache_beam.runners.worker.sdk_worker_main, gcsfs
"""
    command = [sys.executable, "-c", program, " ".join(pins(repository / "requirements/worker.txt"))]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
