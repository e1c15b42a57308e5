"""The image's lock fits what submits jobs; tests/infra has its recipe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from locks import pins


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
