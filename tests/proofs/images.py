"""`make prove images`: the Dockerfile's own steps, without Docker, and what images are for, as a user without rights.

The `RUN` lines of the stages that build the wheel and install packages are run as they stand, with other folders: over
the files that .dockerignore lets through, with the locks and their hashes. Then, as user 65534 where this runs as root,
each environment does what its image is for. Prints the table for docs/proofs.md; takes some minutes on two cores.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from dockerfiles import Stage, read_stages
from locks import pins
from processes import wait_until

_REPOSITORY = Path(__file__).resolve().parents[2]
_NOBODY = 65534
_MOUNT = re.compile(r"--mount=\S+\s+")
_PLAN = ("plan", "--model", "gpt3-13b", "--tokens", "300e9", "--gpu", "h100", "--gpus", "8")


@dataclass(frozen=True)
class Image:
    """An environment that was made as an image's is."""

    name: str
    folder: Path

    def run(self, *words: str) -> str:
        """Run a program of it as nobody, away from the checkout; gives its last line."""
        with tempfile.TemporaryDirectory() as home:
            Path(home).chmod(0o777)
            done = subprocess.run(
                [self.folder / "bin" / words[0], *words[1:]],
                cwd=home,
                env=self.environment(home),
                capture_output=True,
                text=True,
                check=False,
                **_as_nobody(),
            )
        assert done.returncode == 0, f"{self.name}: {words}\n{done.stdout}{done.stderr}"
        return (done.stdout.strip().splitlines() or [""])[-1]

    def environment(self, home: str) -> dict[str, str]:
        return {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}


def _as_nobody() -> dict[str, object]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _python() -> str:
    """A Python that nobody may run: that of a version manager often lies in somebody's home."""
    for name in ("python3.11", "python3.12", "python3.13"):
        path = shutil.which(name, path="/usr/local/bin:/usr/bin")
        if path and not subprocess.run([path, "-c", ""], check=False, **_as_nobody()).returncode:
            return path
    raise SystemExit("no Python 3.11, 3.12 or 3.13 in /usr/local/bin or /usr/bin, which user 65534 could run")


def _context(place: Path) -> Path:
    """What Docker would be sent: files of the checkout that .dockerignore names."""
    allowed = [line[1:] for line in (_REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(["git", "ls-files"], cwd=_REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        path = Path(name)
        if any(path.match(one) or Path(one) in path.parents for one in allowed):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(_REPOSITORY / path, place / path)
    return place


def _perform(run: str, where: dict[str, Path], folder: Path) -> None:
    """A `RUN` line, with folders of ours in the place of the image's."""
    # Compiling ahead saves time in containers, and costs minutes here.
    text = _MOUNT.sub("", run).replace(" --compile-bytecode", "").replace("/usr/local/bin/python", _python())
    for name, path in where.items():
        text = text.replace(name, str(path))
    tools = f"{_REPOSITORY / '.venv/bin'}:{os.environ['PATH']}"
    env = {
        **os.environ,
        "PATH": tools,
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON": str(where["/opt/corpusmill"] / "bin/python"),
    }
    env.pop("VIRTUAL_ENV", None)
    done = subprocess.run(["/bin/sh", "-euc", text], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"


def _size_mb(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 10**6


def _build(stages: dict[str, Stage], target: str, place: Path, dist: Path) -> Image:
    folder = place / target
    where = {"/opt/corpusmill": folder, "/locks": _REPOSITORY / "requirements", "/dist": dist}
    for run in stages[f"{target}-packages"].all("RUN"):
        _perform(run, where, place)
    (install,) = [run for run in stages[target].all("RUN") if "/dist/" in run]
    _perform(install, where, place)
    wanted = pins(_REPOSITORY / f"requirements/{target}.txt")
    found = {path.name.rpartition(".dist-info")[0] for path in folder.glob("lib/python3*/site-packages/*.dist-info")}
    names = {re.sub(r"[-_.]+", "-", one.partition("-")[0]).lower() for one in found}
    assert names - set(wanted) == {"corpusmill"}, names - set(wanted)
    return Image(target, folder)


def _pool_starts(image: Image, stages: dict[str, Stage]) -> str:
    """The image's own start command serves on its port."""
    (words,) = stages["worker"].all("CMD")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [
        word.replace("50000", port).replace("/opt/corpusmill", str(image.folder))
        for word in re.findall(r'"(.*?)"', words)
    ]
    assert os.access(command[-1], os.X_OK)
    command[0] = str(image.folder / "bin" / command[0])

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", int(port))) == 0

    with subprocess.Popen(command, cwd="/", env=image.environment("/tmp"), **_as_nobody()) as pool:
        try:
            wait_until(lambda: listens() or pool.poll() is not None, "the pool")
            assert pool.poll() is None
        finally:
            pool.kill()
    return "the pool of workers listens"


def main() -> None:
    """Build, use, and print."""
    stages = read_stages(_REPOSITORY / "infra/images/Dockerfile")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    try:
        dist = place / "dist"
        for run in stages["wheel"].all("RUN"):
            source = _context(place / "source")
            _perform(run, {"/dist": dist, "/opt/corpusmill": place / "none"}, source)
        print("| image | packages | MB | seconds | as user 65534 |\n|---|---:|---:|---:|---|")
        for target in ("worker", "trainer", "flows"):
            started = time.monotonic()
            image = _build(stages, target, place, dist)
            seconds = time.monotonic() - started
            if target == "worker":
                did = _pool_starts(image, stages)
            elif target == "trainer":
                image.run("python", "-m", "training", *_PLAN)
                image.run("torchrun", "--help")
                did = "a plan is made, torchrun is there"
            else:
                said = image.run("corpusmill", "--version")
                image.run("prefect", "version")
                did = f"`corpusmill --version` says `{said}`"
            packages = len(pins(_REPOSITORY / f"requirements/{target}.txt"))
            print(f"| {target} | {packages} | {_size_mb(image.folder):,} | {seconds:.0f} | {did} |", flush=True)
            shutil.rmtree(image.folder)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
