"""`corpusmill licences` on packages that were made for it, and on those that are installed here."""

from __future__ import annotations

import json
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from locks import pins

from flows.cli.main import run
from flows.licences import installed
from flows.licences.bill import bill_of_materials
from flows.licences.installed import Package, installed_packages, locked_packages
from flows.licences.judging import Licence
from schemas.errors import InputError


def _install(place: Path, name: str, text: str) -> None:
    folder = place / f"{name}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{text}")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of four packages; gives the folder of a lock."""
    place = tmp_path / "site-packages"
    _install(place, "Free_Mill", "License-Expression: MIT\nRequires-Dist: strict-mill>=1 ; python_version > '3'\n")
    _install(place, "strict.mill", "License-Expression: GPL-3.0-only\nRequires-Dist: free-mill; extra == 'x'\n")
    _install(place, "silent-mill", "")
    _install(place, "corpusmill", "")
    monkeypatch.setattr(installed, "distributions", lambda: distributions(path=[str(place)]))
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out.splitlines()[0]))


def test_packages_are_listed_the_strictest_first(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["licences", "--json"]) == 0
    said = _json(capsys)
    assert said["components"] == [
        {"name": "silent-mill", "version": "1.0", "licence": "", "kind": "unknown"},
        {"name": "strict-mill", "version": "1.0", "licence": "GPL-3.0-only", "kind": "copyleft"},
        {"name": "free-mill", "version": "1.0", "licence": "MIT", "kind": "permissive"},
    ]
    assert said["counts"] == {"permissive": 1, "weak copyleft": 0, "copyleft": 1, "proprietary": 0, "unknown": 1}
    assert run(["licences", "--flagged"]) == 0
    out = capsys.readouterr().out
    assert "free-mill" not in out
    assert out.endswith("3 packages: 1 permissive, 1 copyleft, 1 unknown\n")


def test_a_kind_can_be_refused(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["licences", "--refuse", "copyleft", "--refuse", "unknown"]) == 1
    err = capsys.readouterr().err
    assert (
        "2 packages have a licence that --refuse names: silent-mill (unknown: says nothing), strict-mill (copyleft"
        in err
    )
    assert run(["licences", "--refuse", "proprietary"]) == 0
    assert run(["licences", "--refuse", "gpl"]) == 2
    assert "--refuse 'gpl' is no kind of licence; there are permissive, weak copyleft" in capsys.readouterr().err


def test_a_lock_says_which(environment: Path) -> None:
    lock = environment / "lock.txt"
    lock.write_text(
        "# by hand\nfree-mill==1.0 \\\n    --hash=sha256:00\n    # via x\n"
        "strict-mill==1.0 ; sys_platform == 'plan9' \\\n    --hash=sha256:01\n"
    )
    assert [one.name for one in locked_packages(lock)] == ["free-mill"]
    lock.write_text("free-mill==2.0\n")
    with pytest.raises(
        InputError, match=r"lock\.txt has free-mill 2\.0, and installed is 1\.0; licences are read from"
    ):
        locked_packages(lock)
    lock.write_text("other-mill==2.0\n")
    with pytest.raises(InputError, match=r"has other-mill 2\.0, and installed is none"):
        locked_packages(lock)
    lock.write_text("# nothing\n")
    with pytest.raises(InputError, match="pins no package; give a file with lines such as"):
        locked_packages(lock)
    with pytest.raises(InputError, match=r"cannot read .*none.txt: No such file"):
        locked_packages(environment / "none.txt")


def test_needs_are_those_of_this_machine(environment: Path) -> None:
    assert {one.name: one.needs for one in installed_packages()} == {
        "free-mill": ("strict-mill",),
        "silent-mill": (),
        "strict-mill": (),
    }


def test_the_bill_keeps_the_schema_and_is_the_same_each_time(environment: Path) -> None:
    text = bill_of_materials(installed_packages(), "0.1.0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert bill_of_materials(list(reversed(installed_packages())), "0.1.0") == text
    bill = json.loads(text)
    assert [(one["name"], one["licenses"]) for one in bill["components"]] == [
        ("free-mill", [{"expression": "MIT"}]),
        ("silent-mill", [{"license": {"name": "unknown"}}]),
        ("strict-mill", [{"expression": "GPL-3.0-only"}]),
    ]
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert needs["pkg:pypi/free-mill@1.0"] == ["pkg:pypi/strict-mill@1.0"]
    assert len(needs["corpusmill@0.1.0"]) == 3
    other = [*installed_packages(), Package("new-mill", "1", Licence("MIT", "MIT", "permissive"), ())]
    assert json.loads(bill_of_materials(other, "0.1.0"))["serialNumber"] != bill["serialNumber"]


def test_a_bill_that_cannot_be_written_is_said(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["licences", "--sbom", str(environment / "no/where.json")]) == 2
    assert "where.json: No such file or directory; give another file" in capsys.readouterr().err


def test_what_images_are_made_of_is_known(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the lock that holds all others: what asks something of us is a decision, and these were taken."""
    bill, lock = tmp_path / "flows.json", repository / "requirements/flows.txt"
    assert set(pins(repository / "requirements/worker.txt")) | set(
        pins(repository / "requirements/trainer.txt")
    ) <= set(pins(lock))
    assert run(["licences", "--lock", str(lock), "--sbom", str(bill), "--json"]) == 0
    found: dict[str, set[str]] = {}
    for one in _json(capsys)["components"]:
        if one["kind"] not in {"permissive", "weak copyleft"} and not one["name"].startswith("nvidia-"):
            found.setdefault(one["kind"], set()).add(one["name"])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read_text()) is None
    assert json.loads(bill.read_text())["metadata"]["component"]["version"] == version("corpusmill")
    assert found == {"copyleft": {"text-unidecode", "wikitextparser"}, "unknown": {"cuda-toolkit"}}
