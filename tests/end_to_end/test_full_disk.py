"""A disk that is full in the middle of a stage: one line, nothing half-written, the same corpus once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.main import run

MEGABYTES = 24


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one; a skip where this process may mount none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_said_in_one_line_and_the_stage_is_done_once_there_is_room(
    disk: Path, shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: str
) -> None:
    more = ["--source", "web", "--partition", "1", "--input", str(shared_data / "warc"), "--workers", workers]
    settings = ["--set", "rules=[]", "--set", "extractor=resiliparse"]
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MEGABYTES * 2**20 - 2**16))
    assert run(["run", "clean", "--root", f"{disk}/corpus", *more, *settings]) == 2
    told = capfd.readouterr().err.splitlines()
    assert "No space left on device; free some space or give another folder" in told[-1]
    assert not [line for line in told if "Traceback" in line]
    assert not list((disk / "corpus").rglob("manifest.json"))
    ballast.unlink()
    for root in (disk / "corpus", tmp_path / "corpus"):
        assert run(["run", "clean", "--root", str(root), *more, *settings]) == 0
    capfd.readouterr()
    digests = []
    for root in (disk / "corpus", tmp_path / "corpus"):
        assert run(["digest", str(root)]) == 0
        digests.append(capfd.readouterr().out.split()[-1])
    assert digests[0] == digests[1]
