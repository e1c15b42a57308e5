"""Machine code is kept where there is a place, and made anew where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from pipelines.engine import compiled as module

_REPOSITORY = Path(__file__).resolve().parents[3]


def _doubled(values: np.ndarray) -> np.ndarray:
    return values * np.uint64(2)


def test_without_a_place_to_keep_it_a_function_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def without_place(cache: bool = False, **options: bool):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function '_doubled': no locator available for file 'x.py'")
        return numba.njit(**options)

    monkeypatch.setattr(module, "njit", without_place)
    assert module.compiled(_doubled)(np.array([2**63, 3], dtype=np.uint64)).tolist() == [0, 6]
    assert asked == [True, False]


@pytest.mark.slow
def test_a_second_process_takes_what_the_first_one_compiled(tmp_path: Path) -> None:
    code = "from pipelines.dedup.shingles import shingle_sets\nimport pyarrow as pa\n"
    code += (
        "shingle_sets(pa.array(['a b c']), 2, 10)\nfrom pipelines.dedup.text_kernels import distinct_grams as kept\n"
    )
    code += "print(sum(kept.stats.cache_hits.values()), sum(kept.stats.cache_misses.values()))"
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(_REPOSITORY)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said == ["0 1\n", "1 0\n"]


def test_packages_that_extend_numba_are_not_imported(tmp_path: Path) -> None:
    about = tmp_path / "extension-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extension\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[numba_extensions]\ninit = extension:init\n")
    (tmp_path / "extension.py").write_text("print('imported')\ndef init() -> None: pass\n")
    (tmp_path / "doubling.py").write_text(
        "from pipelines.engine.compiled import inlined\n@inlined\ndef doubled(value):\n    return 2 * value\n"
    )
    environment = {"PYTHONPATH": f"{_REPOSITORY}:{tmp_path}"}
    for code, said in (
        ("from doubling import doubled; print(doubled(2))", "4\n"),
        ("import numba; print(numba.njit(lambda value: value)(2))", "imported\n2\n"),
    ):
        command = [sys.executable, "-c", code]
        assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == said


@pytest.mark.slow
def test_of_processes_that_start_together_one_compiles(tmp_path: Path) -> None:
    (tmp_path / "doubling.py").write_text(
        "from pipelines.engine.compiled import compiled\n"
        "@compiled\ndef doubled(value: int) -> int:\n    return 2 * value\n"
    )
    code = (
        "import os, time\nfrom pathlib import Path\nfrom doubling import doubled\n"
        f"here = Path({str(tmp_path)!r})\n(here / f'{{os.getpid()}}.ready').touch()\n"
        "while len(list(here.glob('*.ready'))) < 4:\n    time.sleep(0.01)\n"
        "print(doubled(4), sum(doubled.stats.cache_misses.values()))"
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": f"{_REPOSITORY}:{tmp_path}"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert sorted(process.communicate()[0] for process in started) == ["8 0\n", "8 0\n", "8 0\n", "8 1\n"]
