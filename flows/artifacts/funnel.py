"""What became of the items of one partition, as a table and as a plot."""

from __future__ import annotations

from flows.artifacts.mermaid import bar_chart, fenced, markdown_table
from flows.artifacts.publish import artifact_key, in_a_run, publish_markdown, publish_table
from flows.report.funnel import Funnel, read_funnel
from flows.report.numbers import as_count, as_percent
from schemas.catalog import manifest_of
from schemas.corpus_manifests import CorpusManifests
from schemas.corpus_root import CorpusRoot, PartitionKey

__all__ = ["funnel_markdown", "funnel_rows", "partition_funnel", "publish_funnel"]

_TABLES = ("documents", "duplicates", "contaminated")  # the first table of each stage that takes items away
_KINDS = {
    "dead": "unreadable",
    "dropped": "dropped by rule",
    "duplicate": "repeats another",
    "contaminated": "text of an evaluation set",
}


def partition_funnel(root: CorpusRoot, key: PartitionKey) -> Funnel | None:
    """The funnel of one partition, of its own manifests; None where it was not cleaned yet.

    Raises:
        ManifestError: a manifest is damaged.
    """
    found = (manifest_of(root, table, key) for table in _TABLES)
    return read_funnel(CorpusManifests(tuple(manifest for manifest in found if manifest is not None)))


def funnel_rows(funnel: Funnel) -> list[dict[str, str | int]]:
    """The funnel as rows of a table: items = kept + all that was removed."""
    ways: list[dict[str, str | int]] = [
        {
            "what became of it": _KINDS[step.kind],
            "reason": step.reason,
            "items": step.removed,
            "share": as_percent(step.removed, funnel.items),
            "left": step.left,
        }
        for step in funnel.steps
    ]
    read: dict[str, str | int] = {"what became of it": "read", "reason": "", "items": funnel.items}
    kept: dict[str, str | int] = {"what became of it": "kept", "reason": "", "items": funnel.kept}
    read |= {"share": "100%", "left": funnel.items}
    kept |= {"share": as_percent(funnel.kept, funnel.items), "left": funnel.kept}
    return [read, *ways, kept]


def funnel_markdown(key: PartitionKey, funnel: Funnel) -> str:
    """The funnel as a plot, with its numbers beside it."""
    steps = [(f"{_KINDS[step.kind]}: {step.reason}", step.removed) for step in funnel.steps]
    bars = [("read", funnel.items), *steps, ("kept", funnel.kept)]
    rows = funnel_rows(funnel)
    table = [[str(row[name]) if name != "items" else as_count(int(row[name])) for name in row] for row in rows]
    removed = funnel.items - funnel.kept
    return "\n".join(
        [
            f"# {key}: {as_count(funnel.kept)} of {as_count(funnel.items)} items are kept",
            "",
            fenced(bar_chart([name for name, _ in bars], "items", [float(number) for _, number in bars])),
            markdown_table(list(rows[0]), table, texts=2),
            f"{as_count(funnel.items)} items = {as_count(funnel.kept)} kept + {as_count(removed)} removed. "
            "An item counts under the first rule that it broke.",
        ]
    )


def publish_funnel(root: CorpusRoot, key: PartitionKey) -> None:
    """Show the funnel of a partition in the run that goes on, once as a plot and once as a table to search in.

    Raises:
        ManifestError: a manifest is damaged.
    """
    funnel = partition_funnel(root, key) if in_a_run() else None
    if funnel is not None and funnel.items:
        said = f"{as_count(funnel.kept)} of {as_count(funnel.items)} items are kept: {key} in {root.url}"
        publish_markdown(artifact_key("funnel", *key), funnel_markdown(key, funnel), said)
        publish_table(artifact_key("funnel-rows", *key), funnel_rows(funnel), said)
