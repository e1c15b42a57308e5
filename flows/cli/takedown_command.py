"""`corpusmill takedown`: pages go out of a corpus and stay out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import existing_corpus, print_json, working

if TYPE_CHECKING:
    from pipelines.takedown.take_down import TakedownReport

__all__ = ["register"]

_HELP = """Take pages out of a corpus, and keep them out.

Their documents go, copies that had been removed in their favour come back, token shards with their text are written
anew, and the mixtures and training runs that saw it are named. A later clean drops the pages by the rule `takedown`.
Raw files and trained weights stay as they are: the records that hold the pages are listed.

Example: corpusmill takedown --root corpus --url https://example.org/page --dry-run"""
_SHORT = "Take pages out of a corpus, and keep them out."


def _lines(path: str | None) -> tuple[str, ...]:
    from schemas.errors import InputError

    if path is None:
        return ()
    try:
        lines = [line.partition("#")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--id-file {path} cannot be read: {error}; give a text file with one document id a line"
        ) from error
    found = tuple(line for line in lines if line)
    if not found:
        raise InputError(f"--id-file {path} holds no id; write one document id a line, 32 hexadecimal digits")
    return found


def _as_json(report: TakedownReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "removed": [
            {
                "table": row.table,
                "source": row.key.source,
                "partition": row.key.partition,
                "document_id": row.document_id.hex() if row.document_id else None,
                "url": row.url,
                "record_file": row.record_file,
                "record_offset": row.record_offset,
            }
            for row in report.rows
        ],
        "twins": [
            {"source": key.source, "partition": key.partition, "document_id": one.hex()} for key, one in report.twins
        ],
        "shards": list(report.shards),
        **report.exposure.model_dump(mode="json"),
    }


def _show(report: TakedownReport) -> None:
    would = report.dry_run
    for row in report.rows:
        name = row.document_id.hex() if row.document_id else "no text"
        typer.echo(f"{row.table}  {row.key}  {name}  {row.url or ''}  (raw: {row.record_file} at {row.record_offset})")
    for key, one in report.twins:
        typer.echo(f"twin  {key}  {one.hex()}  {'was removed in favour of it' if would else 'stays now'}")
    for path in report.shards:
        typer.echo(f"shard  {path}  {'holds its text' if would else 'was written anew'}")
    for what, names in report.exposure.model_dump().items():
        for name in names:
            typer.echo(f"{what}  {name}  saw such text")
    documents = sum(row.table == "documents" for row in report.rows)
    typer.echo(f"{documents} documents and {len(report.rows) - documents} other rows {'would go' if would else 'went'}")


def _takedown(
    root: Annotated[str, typer.Option(help="The corpus.", show_default=False)],
    url: Annotated[list[str] | None, typer.Option(help="A page; may be given again.")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="All pages of a host and its subdomains.")] = None,
    id_file: Annotated[str | None, typer.Option(help="A file with one document id a line.")] = None,
    runs: Annotated[
        list[str] | None, typer.Option(help="Training runs outside the corpus, or folders of them.")
    ] = None,
    unseen: Annotated[bool, typer.Option("--unseen", help="Also list what the corpus holds nothing of.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; all cores where not given.")] = None,
    runner: Annotated[str, typer.Option(help="Where pipelines run: local, flink or dataflow.")] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from flows.run_log import open_run_log
    from flows.stage_request import choose_engine
    from pipelines.takedown.take_down import Wanted, take_down

    corpus = existing_corpus(root)
    wanted = Wanted(tuple(url or ()), tuple(domain or ()), _lines(id_file))
    engine = choose_engine(runner, workers)
    if dry_run:
        report = take_down(corpus, wanted, engine, dry_run=True, unseen=unseen, run_folders=runs or ())
    else:
        with open_run_log(corpus, command="takedown") as log, working("takedown") as tell:
            engine = replace(engine, on_progress=tell)
            report = take_down(corpus, wanted, engine, unseen=unseen, run_folders=runs or (), tell=tell)
            log.info("takedown", extra={"rows": len(report.rows), "shards": list(report.shards)})
    if as_json:
        print_json(_as_json(report))
    else:
        _show(report)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("takedown", help=_HELP, short_help=_SHORT)(_takedown)
