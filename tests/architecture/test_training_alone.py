"""`training` imports nothing beyond what its own extra brings."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

from packaging.requirements import Requirement

# What a machine that only trains has installed.
_INSTALLED = ("torch", "numpy", "pyarrow", "fsspec", "pydantic", "safetensors", "tokenizers")

_IMPORT_ALL = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"{name} is not installed on a machine that only trains", name=name)

refused, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
sys.meta_path.insert(0, Refuse())
for module in modules:
    importlib.import_module(module)
"""


def _closure(names: tuple[str, ...]) -> set[str]:
    """Distributions that come with `names`, in lower case with dashes."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        found.add(name)
        pending += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def test_training_imports_with_only_its_own_packages(modules):
    allowed = _closure(_INSTALLED)
    refused = {
        top
        for top, owners in packages_distributions().items()
        if not any(owner.lower().replace("_", "-") in allowed | {"corpusmill"} for owner in owners)
    }
    assert {"apache_beam", "prefect", "typer", "jinja2"} - refused <= {"jinja2"}  # PyTorch brings jinja2
    refused.discard("zstandard")  # PyTorch's checkpoints ask whether it is there, and do without
    names = [module.name for module in modules if module.name.split(".")[0] == "training"]
    # Tuning is an extra, whose command says what is missing.
    extra = [name for name in names if name.startswith("training.tuning.") and name != "training.tuning.command"]
    names = [name for name in names if not name.endswith("__main__") and name not in extra]
    command = [sys.executable, "-c", _IMPORT_ALL, ",".join(sorted(refused)), ",".join(names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
