"""The Java side of a cluster: which Java runs it, and its jars, put together by Maven once and kept in a cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from schemas.errors import InputError, StageError

__all__ = ["OUR_JAR", "find_java", "jars"]

OUR_JAR = "corpusmill-flink.jar"

_OLDEST_JAVA = 11
_DOWNLOAD_SECONDS = 900.0
_HERE = Path(__file__).resolve()
# In a wheel the folder lies beside this module.
_POMS = (_HERE.parents[2] / "infra" / "flink" / "pom.xml", _HERE.with_name("java") / "pom.xml")


def find_java() -> str:
    """Path of a Java that Flink runs on.

    Raises:
        InputError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise InputError(
            "Flink needs Java 17, and no `java` is on the PATH; install it (Debian: openjdk-17-jdk-headless)"
        )
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        raise InputError(f"Flink needs Java {_OLDEST_JAVA} or later, and {found} is another: {said.strip()[:80]!r}")
    return found


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "corpusmill" / "flink"


def jars(tell: Callable[[str], None] = lambda _text: None) -> Path:
    """The folder with all jars that `infra/flink/pom.xml` names; fetched through Maven the first time (160 MB).

    Args:
        tell: is given a line of text when they are fetched.

    Raises:
        InputError: they are not there yet, and neither is Maven.
        StageError: Maven could not get them.
    """
    pom = next(path for path in _POMS if path.is_file())
    content = pom.read_bytes() + b"".join(path.read_bytes() for path in sorted(pom.parent.rglob("*.java")))
    folder = _cache() / hashlib.blake2b(content, digest_size=8).hexdigest()
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise InputError("the first `corpusmill flink up` gets Flink's jars with Maven, and no `mvn` is on the PATH")
    tell("getting Flink's jars, 160 MB, this first time only")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        options = [f"-Doutput={temporary}", f"-DoutputDirectory={temporary}/jars", "-DincludeScope=runtime"]
        command = [maven, "-q", "-B", "-f", str(pom), "package", "dependency:copy-dependencies", *options]
        try:
            done = subprocess.run(  # noqa: S603
                command,
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_DOWNLOAD_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise StageError(f"Maven did not get Flink's jars within {_DOWNLOAD_SECONDS:.0f} s; try again") from None
        if done.returncode:
            said = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr.strip()[-200:])
            raise StageError(f"Maven could not get Flink's jars: {said}")
        try:
            Path(temporary, "build", OUR_JAR).rename(Path(temporary, "jars", OUR_JAR))
            Path(temporary, "jars").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    return folder
