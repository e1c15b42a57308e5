"""Checks of the machine: Python and packages, limits of the system, room on disks, GPU, Java."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flows.doctor.finding import Check, Finding, Patient, fail, ok, warn
from flows.flink.toolchain import find_java
from flows.services.daemons import gpu_count
from schemas.errors import InputError

__all__ = ["MACHINE_CHECKS"]

_PYTHONS = ((3, 11), (3, 14))
_FILES_LEAST, _FILES_ENOUGH = 1024, 4096
_PROCESSES_ENOUGH = 1024
_GIB = 2**30
_DISK_LEAST, _DISK_ENOUGH = 1 * _GIB, 10 * _GIB
_SHM = Path("/dev/shm")  # noqa: S108
_SHM_ENOUGH = 256 * 2**20  # containers have 64 MiB where nobody asked for more
_TORCH_SECONDS = 120


def _python(_patient: Patient) -> Iterator[Finding]:
    seen = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    low, high = _PYTHONS
    if low <= sys.version_info[:2] < high:
        yield ok("python", seen)
    else:
        yield fail("python", seen, "install Python 3.11, 3.12 or 3.13, and make the environment anew with it")


def _numbers(package: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in re.findall(r"\d+", version(package))[:3])
    except PackageNotFoundError:
        return ()


def _packages(_patient: Patient) -> Iterator[Finding]:
    prefect, fastapi, certifi = (_numbers(name) for name in ("prefect", "fastapi", "certifi"))
    seen = ", ".join(
        f"{name} {'.'.join(map(str, numbers)) or 'missing'}"
        for name, numbers in (("prefect", prefect), ("fastapi", fastapi), ("certifi", certifi))
    )
    if fastapi >= (0, 151):
        yield fail("packages", seen, "the server does not start with this FastAPI: pip install 'fastapi<0.151'")
    elif not (3, 8, 6) <= prefect < (4,):
        yield fail("packages", seen, "install a Prefect that is known to work: pip install 'prefect>=3.8.6,<4'")
    elif prefect >= (3, 9) and certifi < (2026, 10, 19):
        yield warn("packages", seen, "Prefect 3.9 asks for certifi>=2026.10.19: install it, or prefect<3.9")
    else:
        yield ok("packages", seen)


def _bytecode(_patient: Patient) -> Iterator[Finding]:
    if sys.dont_write_bytecode:
        yield warn(
            "bytecode",
            "Python keeps nothing that it compiles (PYTHONDONTWRITEBYTECODE)",
            "unset it: without, each process that imports Beam takes 1.4 s more",
        )
    else:
        yield ok("bytecode", "Python keeps what it compiles")


def _told(limit: int) -> str:
    return "any number" if limit == resource.RLIM_INFINITY else str(limit)


def _open_files(_patient: Patient) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = f"{_told(soft)} open files in a process, {_told(hard)} if asked for"
    remedy = f"raise it in the shell that starts corpusmill: ulimit -n {min(hard, 65536) if hard > 0 else 65536}"
    endless = soft == resource.RLIM_INFINITY
    if endless or soft >= _FILES_ENOUGH:
        yield ok("open-files", seen)
    elif soft >= _FILES_LEAST:
        yield warn("open-files", seen, remedy)
    else:
        yield fail("open-files", seen, remedy)


def _processes(_patient: Patient) -> Iterator[Finding]:
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limits = [] if soft == resource.RLIM_INFINITY else [soft]
    try:
        group = Path("/sys/fs/cgroup/pids.max").read_text().strip()
        limits += [int(group)] if group != "max" else []
    except OSError:
        pass  # no such group, no such limit
    least = min(limits, default=None)
    seen = f"{least if least is not None else 'any number of'} processes and threads"
    if least is not None and least < _PROCESSES_ENOUGH:
        yield warn("processes", seen, "raise it: ulimit -u, or the pids limit of the container")
    else:
        yield ok("processes", seen)


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())


def _disks(patient: Patient) -> Iterator[Finding]:
    places = {"home": patient.home, "temporary files": Path(tempfile.gettempdir())}
    if patient.root is not None and patient.root.folder.is_local:
        places["corpus"] = Path(patient.root.folder.path(""))
    for what, place in places.items():
        free = shutil.disk_usage(_existing(place)).free
        name, seen = f"disk-{what.split()[0]}", f"{free / _GIB:.1f} GiB free at {place} ({what})"
        remedy = "make room, or use another disk (TMPDIR, --home, --root)"
        if free < _DISK_LEAST:
            yield fail(name, seen, remedy)
        elif free < _DISK_ENOUGH:
            yield warn(name, seen, remedy)
        else:
            yield ok(name, seen)


def _shared_memory(_patient: Patient) -> Iterator[Finding]:
    if not _SHM.is_dir():
        yield warn(
            "shared-memory", f"there is no {_SHM}", "mount one: torch shares tensors between processes through it"
        )
        return
    size = shutil.disk_usage(_SHM).total
    seen = f"{size / 2**20:.0f} MiB in {_SHM}"
    if size < _SHM_ENOUGH:
        yield warn("shared-memory", seen, "give the container more: --shm-size=1g")
    else:
        yield ok("shared-memory", seen)


def _gpu(_patient: Patient) -> Iterator[Finding]:
    count = gpu_count()
    if not count:
        yield ok("gpu", "no GPU here; training runs on the CPU")
        return
    code = "import torch; print(torch.cuda.device_count())"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=_TORCH_SECONDS
    )
    found = int(done.stdout.strip() or 0) if not done.returncode else 0
    if found < count:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        yield fail("gpu", f"{count} GPUs, of which torch sees {found}: {said[:200]}", "install a torch for this driver")
    else:
        yield ok("gpu", f"{found} GPUs, seen by torch")


def _java(_patient: Patient) -> Iterator[Finding]:
    try:
        yield ok("java", find_java())
    except InputError as error:
        yield warn("java", str(error), "install it, or leave --runner flink alone")


def _temporary(_patient: Patient) -> Iterator[Finding]:
    place = Path(tempfile.gettempdir())
    if os.access(place, os.W_OK | os.X_OK):
        yield ok("temporary", str(place))
    else:
        yield fail("temporary", f"{place} cannot be written", "set TMPDIR to a folder that can")


MACHINE_CHECKS: tuple[Check, ...] = (
    _python,
    _packages,
    _bytecode,
    _open_files,
    _processes,
    _disks,
    _temporary,
    _shared_memory,
    _gpu,
    _java,
)
