"""`corpusmill verify`: read everything in a corpus and say which files are not what they should be."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import print_json, working

__all__ = ["register"]

_SHORT = "Check every file, digest, shard, index and text of a corpus."
_HELP = (
    f"{_SHORT}\n\n"
    "Files are compared with their manifests, rows with their digests, shards and indexes with their tokenizer and "
    "each other, and the tokens of every document are decoded and compared with its text. Each problem is a line that "
    "names the file and the cause; with one or more, the exit code is 1.\n\n"
    "Example: corpusmill verify corpus"
)


def _verify(
    corpus: Annotated[str | None, typer.Argument(help="The corpus.", show_default=False)] = None,
    root: Annotated[str | None, typer.Option(help="The corpus, as in other commands.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")] = False,
) -> None:
    from pipelines.verification.corpus import verify_corpus
    from schemas.corpus_root import CorpusRoot
    from schemas.errors import InputError

    if (corpus is None) == (root is None):
        raise InputError("give one corpus: `corpusmill verify FOLDER`, or --root FOLDER")
    place = CorpusRoot(corpus or root or "")
    if not place.folder.exists():
        raise InputError(f"no corpus in {place.url}; give a folder that `corpusmill run` has written")
    with working("verify") as tell:
        findings = verify_corpus(place, tell)
    if as_json:
        problems = [problem._asdict() for problem in findings.problems]
        print_json({"problems": problems, "checked": dict(findings.checked)})
    else:
        for problem in findings.problems:
            typer.echo(f"{problem.where}: {problem.cause}")
        checked = ", ".join(f"{number:,} {what}" for what, number in sorted(findings.checked.items()))
        typer.echo(f"{len(findings.problems)} problems; looked at {checked or 'nothing'}")
    if findings.problems:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("verify", help=_HELP, short_help=_SHORT)(_verify)
