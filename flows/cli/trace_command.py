"""`corpusmill trace token|document|step`: from a training token to the record that it came from, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import print_json, print_table

if TYPE_CHECKING:
    from schemas.corpus_root import CorpusRoot

__all__ = ["register"]

_SHORT = "From a training token to the record that it came from, and back."
_HELP = {
    "token": (
        "From a token of a shard to its document, its URL, the raw record and every score it got.",
        "corpusmill trace token --root corpus --shard tokens/bpe/train/web/p1/shard-00000.arrow --position 1234",
    ),
    "document": (
        "Where the tokens of a document lie, and which steps of which runs used them.",
        "corpusmill trace document 0123456789abcdef0123456789abcdef --root corpus",
    ),
    "step": (
        "The documents in the batch of one training step.",
        "corpusmill trace step corpus/runs/first 1234",
    ),
}
_SHOWN = 20  # lines of one list; --json has all

_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]
_Root = Annotated[str, typer.Option(help="The corpus.", show_default=False)]


def _existing(url: str) -> CorpusRoot:
    from schemas.corpus_root import CorpusRoot
    from schemas.errors import InputError

    root = CorpusRoot(url)
    if not root.folder.exists():
        raise InputError(f"no corpus in {url}; give a folder that `corpusmill run` has written")
    return root


def _lines(about: dict[str, Any]) -> None:
    width = max(map(len, about))
    for name, value in about.items():
        typer.echo(f"{name:<{width}}  {'-' if value is None else value}")


def _show_document(document: dict[str, Any]) -> None:
    record = document["record"]
    removed = document["removed_for"]
    _lines(
        {
            "document": document["document_id"],
            "partition": f"{document['source']}/{document['partition']}",
            "file": document["file"],
            "url": document["url"],
            "title": document["title"],
            "raw file": record["record_file"],
            "at byte": record["record_offset"],
            "record id": record["record_id"],
            "captured": record["captured_at"],
            "language": document["language"],
            "characters": document["characters"],
            "duplicate of": f"{removed['kept_id']} ({removed['level']}, {removed['similarity']:.3f})"
            if removed
            else None,
        }
    )
    if document["scores"]:
        print_table("", ["score", "value"], [[name, f"{value:g}"] for name, value in document["scores"].items()])
    for one in document["contaminated"][:_SHOWN]:
        typer.echo(f"{one['action']}  {one['task']} {one['item']}  {one['start']}..{one['end']}  {one['ngram']}")


def _token(
    root: _Root,
    shard: Annotated[str, typer.Option(help="Path of the shard.", show_default=False)],
    position: Annotated[int, typer.Option(help="Of the token in the shard, from 0.", show_default=False)],
    as_json: _Json = False,
) -> None:
    from flows.trace.answers import trace_token

    found = trace_token(_existing(root), shard, position)
    if as_json:
        print_json(found)
        return
    token, place = found["token"], found["place"]
    if token["text"] is not None:
        typer.echo(f"…{token['before']!r}  [{token['text']!r}]  {token['after']!r}…")
    of = f"token {place['position_in_piece']} of {place['tokens_of_piece']}"
    _lines({"token": token["id"], "place": f"{of} of piece {place['piece']} ({place['tokenizer']}, {place['split']})"})
    _show_document(found["document"])


def _steps(use: dict[str, Any]) -> str:
    shown = ", ".join(map(str, use["steps"][:_SHOWN]))
    more = f" and {len(use['steps']) - _SHOWN} more" if len(use["steps"]) > _SHOWN else ""
    return f"steps {shown}{more} ({use['done']} done)" if use["steps"] else "in the mixture, in no step of this run"


def _document(
    document_id: Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits.", show_default=False)],
    root: _Root,
    source: Annotated[str | None, typer.Option(help="Look at this source alone.")] = None,
    partition: Annotated[str | None, typer.Option(help="Look at this partition alone.")] = None,
    runs: Annotated[
        list[str] | None, typer.Option(help="Training runs outside the corpus, or folders of them.")
    ] = None,
    as_json: _Json = False,
) -> None:
    from flows.trace.answers import trace_document

    found = trace_document(_existing(root), document_id, source, partition, runs or ())
    if as_json:
        print_json(found)
        return
    for one in found["found"]:
        _show_document(one["document"])
        for piece in one["tokens"]:
            for part in piece["shards"]:
                end = part["position"] + part["tokens"]
                typer.echo(f"piece {piece['piece']}  {part['shard']}  tokens {part['position']}..{end}")
        if not one["tokens"]:
            typer.echo("no tokens: it was removed, or its partition is not tokenized")
        for use in one["runs"]:
            typer.echo(f"{use['run']}  {use['unknown'] or _steps(use)}")


def _step(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder of a training run.", show_default=False)],
    step: Annotated[int, typer.Argument(metavar="N", help="Counted from 1.", show_default=False)],
    root: Annotated[str | None, typer.Option(help="The corpus; where not given, the one that the run names.")] = None,
    as_json: _Json = False,
) -> None:
    from flows.trace.answers import trace_step

    found = trace_step(run, step, root)
    if as_json:
        print_json(found)
        return
    done = "done" if found["done"] else "not done yet"
    typer.echo(
        f"step {step} of {run}, {done}: {len(found['samples'])} windows of {found['sequence_length']} tokens "
        f"of mixture {found['mixture']}, with {len(found['documents'])} documents"
    )
    for one in found["documents"][:_SHOWN]:
        place = f"{one['source']}/{one['partition']}"
        typer.echo(f"{one['document_id']}  {one['tokens']:>7,} tokens  {place}  {one['url'] or '-'}")
    if len(found["documents"]) > _SHOWN:
        typer.echo(f"and {len(found['documents']) - _SHOWN} more; --json names them all, by window")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True)
    for name, command in (("token", _token), ("document", _document), ("step", _step)):
        text, example = _HELP[name]
        group.command(name, help=f"{text}\n\nExample: {example}", short_help=text)(command)
    app.add_typer(group, name="trace", help=f"{_SHORT}\n\nExample: {_HELP['token'][1]}", short_help=_SHORT)
