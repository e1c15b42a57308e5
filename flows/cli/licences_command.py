"""`corpusmill licences`: what is installed, under which licences, and a bill of materials of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import print_json, print_table

if TYPE_CHECKING:
    from flows.licences.installed import Package

__all__ = ["register"]

_SHORT = "The packages that are installed, with their licences; copyleft, proprietary and unknown ones are flagged."
_HELP = (
    f"{_SHORT}\n\n"
    "Licences are read from the packages' own metadata. --sbom writes a bill of materials, CycloneDX 1.6 as JSON.\n\n"
    "Example: corpusmill licences --lock requirements/worker.txt --sbom worker.cdx.json --refuse unknown"
)


def _require_none(packages: list[Package], refused: list[str]) -> None:
    from schemas.errors import StageError

    found = [one for one in packages if one.licence.kind in refused]
    if found:
        named = ", ".join(f"{one.name} ({one.licence.kind}: {one.licence.text or 'says nothing'})" for one in found)
        raise StageError(f"{len(found)} packages have a licence that --refuse names: {named}")


def _licences(
    lock: Annotated[
        Path | None, typer.Option(help="Only what this lock installs, such as requirements/worker.txt.")
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Show only the flagged ones.")] = False,
    sbom: Annotated[Path | None, typer.Option(help="File for a bill of materials, CycloneDX as JSON.")] = None,
    refuse: Annotated[
        list[str] | None, typer.Option(help="A kind of licence that makes the command fail; may be given often.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from collections import Counter
    from importlib.metadata import version

    from flows.licences.bill import bill_of_materials
    from flows.licences.installed import PROJECT, installed_packages, locked_packages
    from flows.licences.judging import FLAGGED, KINDS
    from schemas.errors import ConfigError, OutputError

    for kind in refuse or ():
        if kind not in KINDS:
            raise ConfigError(f"--refuse {kind!r} is no kind of licence; there are {', '.join(KINDS)}")
    packages = locked_packages(lock) if lock else installed_packages()
    if sbom:
        try:
            sbom.write_text(bill_of_materials(packages, version(PROJECT)), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {sbom}: {error.strerror}; give another file") from error
    counts = Counter(one.licence.kind for one in packages)
    shown = [one for one in packages if not flagged or one.licence.kind in FLAGGED]
    shown.sort(key=lambda one: (-KINDS.index(one.licence.kind), one.name))
    if as_json:
        components = [
            {
                "name": one.name,
                "version": one.version,
                "licence": one.licence.expression or one.licence.text,
                "kind": one.licence.kind,
            }
            for one in shown
        ]
        print_json({"components": components, "counts": {kind: counts[kind] for kind in KINDS}})
    else:
        rows = [[one.name, one.version, one.licence.expression or one.licence.text, one.licence.kind] for one in shown]
        print_table("Licences", ["package", "version", "licence", "kind"], rows)
        said = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if counts[kind])
        typer.echo(f"{len(packages)} packages: {said}")
    _require_none(packages, refuse or [])


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("licences", help=_HELP, short_help=_SHORT)(_licences)
