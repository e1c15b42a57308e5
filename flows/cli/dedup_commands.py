"""`corpusmill explain|audit`: what deduplication decided about one document, and how good its decisions are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import existing_corpus, print_json, working

if TYPE_CHECKING:
    from pipelines.dedup.audit_shares import AuditResult, Share
    from pipelines.dedup.explain import Explanation

__all__ = ["dedup_remarks", "register"]

_EXPLAIN = """Say everything that was decided about one document, and show its twin.

A document that went is shown with the one that was kept in its place and with the similarity of the two, as it is
stored and as it is now measured on the texts; one that stays, with what it stands for.

Example: corpusmill explain 0f3a1c5b7d9e2f4a6c8b0d1e3f5a7c9b --root corpus"""
_AUDIT = """Judge deduplication by brute force.

Documents are drawn by hash and seed and compared with the whole corpus, without sketches or bands, until 300 pairs at
the threshold or above are found or there is nobody left to draw. Two shares come out, with 95% intervals: of these
pairs, those of which not both are kept; of removals, those that are as alike as the settings say.

Example: corpusmill audit --root corpus"""

_Root = Annotated[str, typer.Option(help="The corpus.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, last line.")]


def _named(document: dict[str, Any]) -> str:
    title = f"  {document['title']}" if document.get("title") else ""
    return (
        f"{document['document_id']}  {document['source']}/{document['partition']}  {document.get('url') or ''}{title}"
    )


def _how(row: dict[str, Any]) -> str:
    return f"level {row['level']}, similarity {row['similarity']:.6f}"


def _decision_lines(found: Explanation) -> list[str]:
    removal, settings = found.removal, found.settings
    if found.dropped is not None:
        return [f"dropped by clean, which it failed by: {', '.join(found.dropped)}"]
    if not found.decided:
        return ["stays: deduplication has decided nothing about its partition yet"]
    under = f"settings: levels {', '.join(settings['levels'])}; threshold {settings['threshold']:g} on n-grams of "
    under += f"{settings['ngram']} words; {', '.join(settings['policy']) or 'no policy'}; scope {settings['scope']}"
    if removal is None:
        return ["stays: no document that ranks before it repeats it", under]
    measured = removal["measured"]
    again = "its twin is not there any more" if measured is None else f"measured again on the texts {measured:.6f}"
    met = f"; met in band {removal['band']}" if removal["band"] is not None else ""
    return [f"goes: {_how(removal)}; {again}{met}", f"twin: {_named(removal['twin'])}", under]


def _copy_lines(copies: dict[str, Any]) -> list[str]:
    if not copies["number"]:
        return []
    first, last = copies["first_seen"], copies["last_seen"]
    seen = f", seen from {first} to {last}" if first else ""
    lines = [f"stands for {copies['number']:,} other documents of {', '.join(copies['sources'])}{seen}"]
    lines += [f"  {_named(row)}{_how(row)}" for row in copies["some"]]
    more = copies["number"] - len(copies["some"])
    return [*lines, *([f"  and {more:,} more"] if more > 0 else [])]


def _show(found: Explanation) -> None:
    document = found.document
    typer.echo(f"document {_named(document)}")
    about = [f"captured {document['captured_at']}" if document["captured_at"] else "", document["language"] or ""]
    about += [f"{document['characters']:,} characters" if document["characters"] is not None else ""]
    about += [f"content hash {document['content_hash']}"]
    lines = [", ".join(part for part in about if part), *_decision_lines(found), *_copy_lines(found.copies)]
    for row in found.contaminated:
        lines.append(
            f"contaminated: {row['task']} item {row['item']} at {row['start']} to {row['end']}, {row['action']}"
        )
    for line in lines:
        typer.echo(f"  {line}")


def _explain(
    document_id: Annotated[str, typer.Argument(help="32 hexadecimal digits.", show_default=False)],
    root: _Root,
    as_json: _Json = False,
) -> None:
    from pipelines.dedup.explain import explain

    found = explain(existing_corpus(root), document_id)
    if as_json:
        print_json({"document_id": document_id, "decisions": [asdict(one) for one in found]})
        return
    for one in found:
        _show(one)


def _audit_lines(result: AuditResult) -> list[str]:
    """An audit for people."""
    lines = [
        f"pairs of which not both are kept    {result.pairs}",
        f"removals as alike as settings say   {result.removals}",
        f"compared {result.sampled:,} drawn documents with {result.documents:,}",
    ]
    if result.misstated:
        lines.append(f"{result.misstated:,} removals state another similarity than their texts have")
    if result.by_url:
        lines.append(f"{result.by_url:,} of the removals that were looked at went by their URL, whatever their texts")
    lines += [f"both kept: {one} {other} similarity {value:.6f}" for one, other, value in result.missed]
    return lines


def _joined_share(audits: list[dict[str, Any]], name: str) -> Share:
    from pipelines.dedup.audit_shares import Share

    return Share(sum(one[name]["hits"] for one in audits), sum(one[name]["trials"] for one in audits))


def _curve(units: list[dict[str, Any]]) -> list[str]:
    """With which probability pairs are found, by their similarity."""
    notes = next((unit["notes"] for unit in units if "recall_by_similarity" in unit["notes"]), None)
    if notes is None:
        return []
    points = ", ".join(f"{similarity:g}: {found:.4f}" for similarity, found in notes["recall_by_similarity"])
    return [
        f"sketches: {notes['bands']} bands of {notes['rows']} values; of pairs so alike this share is found:",
        f"  {points}",
    ]


def dedup_remarks(result: dict[str, Any]) -> list[str]:
    """What a run of dedup has to say beside its counts: what it can find, brakes, audits, whose decisions changed."""
    units = [unit for unit in result["units"] if unit["status"] == "done"]
    lines = _curve(units)
    for unit in units:
        brake = unit["notes"].get("brake")
        if brake:
            where = f"{unit['source']}/{unit['partition']}"
            lines.append(f"brake: {where}: {'; '.join(brake['said'])}; samples are in {brake['report']}")
    audits = [unit["notes"]["audit"] for unit in units if unit["notes"].get("audit")]
    if audits:
        drawn = f"{sum(one['sampled'] for one in audits):,} documents drawn, each against its own partition"
        lines.append(f"audit: {drawn}; `corpusmill audit` looks at the whole corpus")
        lines.append(f"  pairs of which not both are kept    {_joined_share(audits, 'pairs_not_both_kept')}")
        lines.append(f"  removals as alike as settings say   {_joined_share(audits, 'removals_alike')}")
    if result["changed"]:
        lines.append(
            f"decisions changed on {', '.join(result['changed'])}: what was made of them is stale, run tokenize (and "
            "decontaminate before it, where it was run)"
        )
    if result["outdated"]:
        lines.append(f"decisions hold no more on {', '.join(result['outdated'])}: run dedup on all partitions")
    return lines


def _audit(
    root: _Root,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs to look for, and removals to measure.")] = 300,
    documents: Annotated[int, typer.Option(min=1, help="Documents to draw, at most.")] = 20_000,
    as_json: _Json = False,
) -> None:
    from pipelines.dedup.audit import audit_corpus

    with working("audit"):
        result = audit_corpus(existing_corpus(root), seed, pairs, documents)
    if as_json:
        print_json(result.as_json())
        return
    for line in _audit_lines(result):
        typer.echo(line)
    if result.pairs.trials < pairs:
        all_drawn = result.sampled >= result.documents
        why = "there were no more to draw from" if all_drawn else "--documents allows no more to be drawn"
        typer.echo(f"{result.pairs.trials:,} pairs were found and not {pairs:,}: {why}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    commands: dict[str, tuple[Callable[..., None], str]] = {"explain": (_explain, _EXPLAIN), "audit": (_audit, _AUDIT)}
    for name, (command, text) in commands.items():
        app.command(name, help=text, short_help=text.partition("\n")[0])(command)
