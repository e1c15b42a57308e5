"""The Dockerfile, without Docker: linted, and held against the project whose images it makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dockerfiles import Stage, read_stages
from locks import pins
from real_commands import check_command

from flows.flink.daemons import _OPEN

_BIN = Path(sys.executable).parent
# Stages from which somebody starts containers, and the lock that each is made of.
TARGETS = {"worker": "worker", "trainer": "trainer", "flows": "flows", "dataflow": "worker", "flink": None}


def ancestry(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those that it is built on, the last one first."""
    found = [stages[name]]
    while found[-1].base in stages:
        found.append(stages[found[-1].base])
    return found


def test_hadolint_finds_nothing(repository: Path) -> None:
    done = subprocess.run(
        [_BIN / "hadolint", repository / "infra/images/Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("lock", ["worker", "trainer", "flows"])
def test_locks_agree_with_the_tested_versions(repository: Path, lock: str) -> None:
    ours, tested = pins(repository / f"requirements/{lock}.txt"), pins(repository / "requirements/dev.txt")
    assert {name: tested.get(name) for name in ours} == ours
    text = (repository / f"requirements/{lock}.txt").read_text()
    assert len(re.findall(r"^\S+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)) == len(
        re.findall(r"^\S+==", text, re.MULTILINE)
    )


def test_versions_are_those_of_the_project(repository: Path, stages: dict[str, Stage]) -> None:
    assert set(TARGETS) <= set(stages)
    beam = pins(repository / "requirements/worker.txt")["apache-beam"]
    assert {stages["beam"].base.rpartition(":")[2]} == beam
    pom = (repository / "infra/flink/pom.xml").read_text()
    flink = re.search(r"<flink.version>(.+)</flink.version>", pom)[1]
    assert stages["flink"].base == f"flink:{flink}-scala_2.12-java17"
    wanted = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">=3.11,<3.14"
    assert re.fullmatch(r"python:3\.1[123]-slim-bookworm", stages["python"].base)


def test_every_base_has_a_version(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        if stage.base not in stages:
            assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", stage.base), stage
            assert "latest" not in stage.base


def test_containers_are_not_root(stages: dict[str, Stage]) -> None:
    users = {name: [user for one in ancestry(stages, name) for user in one.all("USER")[-1:]] for name in TARGETS}
    assert users.pop("dataflow")[0] == "0:0"  # as Beam's own
    for name, found in users.items():
        assert int(found[0].partition(":")[0]) > 0, name


@pytest.mark.parametrize(("target", "lock"), [(one, lock) for one, lock in TARGETS.items() if lock])
def test_packages_come_from_the_lock_with_hashes(stages: dict[str, Stage], target: str, lock: str) -> None:
    copies = [value for stage in ancestry(stages, target) for value in stage.all("COPY")]
    assert f"--from={lock}-packages /opt/corpusmill /opt/corpusmill" in copies
    runs = " ".join(stages[f"{lock}-packages"].all("RUN"))
    assert f"uv pip sync --require-hashes --compile-bytecode /locks/{lock}.txt" in runs
    assert stages[f"{lock}-packages"].all("COPY") == [f"requirements/{lock}.txt /locks/"]
    installs = [run for stage in ancestry(stages, target) for run in stage.all("RUN") if "/dist/*.whl" in run]
    assert len(installs) == 1
    assert "--no-deps" in installs[0]
    for stage in stages.values():
        for run in stage.all("RUN"):
            assert "pip install" not in run or "--require-hashes" in run or "--no-deps" in run


def test_start_commands_are_real(stages: dict[str, Stage]) -> None:
    for target in ("worker", "trainer", "flows"):
        (words,) = stages[target].all("CMD")
        command = list(json.loads(words))
        if "--help" not in command:
            check_command(command)
        else:
            check_command([*command[: command.index("--help")], *_SOME[target]])


_SOME = {"trainer": ["plan", "--model", "gpt3-13b", "--tokens", "1e9", "--gpu", "h100"], "flows": ["status"]}


def test_console_scripts_that_images_name_are_installed(repository: Path, stages: dict[str, Stage]) -> None:
    scripts = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["scripts"]
    (command,) = stages["worker"].all("CMD")
    assert re.search(r"/opt/corpusmill/bin/([\w-]+)", command)[1] in scripts


def test_what_is_copied_is_in_the_context(repository: Path, stages: dict[str, Stage]) -> None:
    allowed = [line[1:] for line in (repository / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for stage in stages.values():
        for value in stage.all("COPY"):
            source = value.split()[0]
            if source.startswith("--from") or source == ".":
                continue
            assert (repository / source).exists()
            assert any(Path(source).match(one) or source == one for one in allowed), source
    # A wheel is made of all that it is told to hold.
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    held = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"], "pyproject.toml"}
    assert held <= set(allowed)


def test_our_jar_comes_before_the_one_it_stands_in_for(repository: Path, stages: dict[str, Stage]) -> None:
    (run,) = stages["jars"].all("RUN")
    ours = re.search(r"/out/jars/(\S+)$", run)[1]
    assert ours < "beam"  # Flink sorts its class path
    words = [
        word
        for line in (repository / "infra/images/jobserver.args").read_text().splitlines()
        if not line.startswith("#")
        for word in line.split()
    ]
    assert words[words.index("-cp") + 1] == f"/opt/flink/lib/{ours}:/opt/flink/lib/*"  # Java does not
    assert words[-1] == "corpusmill.flink.JobServer"
    assert (repository / "infra/flink/src/main/java" / f"{words[-1].replace('.', '/')}.java").is_file()
    assert {word for word in words if "opens" in word} == {f"--add-opens={one}=ALL-UNNAMED" for one in _OPEN}


def test_stages_are_read_as_docker_does(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("ARG A=1\nFROM x:${A} AS one\n# no\nRUN a \\\n # not this\n && b\nFROM one AS two\nUSER 5\n")
    assert read_stages(file) == {
        "one": Stage("one", "x:1", (("RUN", "a   && b"),)),
        "two": Stage("two", "one", (("USER", "5"),)),
    }
