"""What a partition was made of: a diagram of its units of work, their inputs and their fingerprints, from manifests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flows.artifacts.mermaid import fenced, flowchart, markdown_table
from flows.artifacts.publish import artifact_key, in_a_run, publish_markdown
from flows.report.numbers import as_bytes, as_count, as_duration
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.manifest import InputRecord, Manifest, read_manifest
from schemas.token_shard import token_table

__all__ = ["Lineage", "lineage_markdown", "publish_lineage", "read_lineage"]

# Tables with a manifest, in the order in which a partition gets them.
_TABLES = ("crawl", "documents", "signatures", "edges", "duplicates", "overlaps", "contaminated")
_NONE_BEFORE = " of 0 partitions "  # what a first partition depends on of those before it
# More inputs of a unit that no unit of ours made are one box.
_SHOWN_INPUTS = 2
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Lineage:
    """The units that a partition went through, in order, each with the folder in which its manifest lies."""

    key: PartitionKey
    units: tuple[tuple[str, Manifest], ...]


def read_lineage(root: CorpusRoot, key: PartitionKey, tokenizer: str) -> Lineage:
    """The committed units of a partition, and its tokenizer's.

    Raises:
        ManifestError: a manifest is damaged.
    """
    folders = [root.partition_folder(table, key) for table in _TABLES]
    folders += [root.tokenizer_folder(tokenizer), root.partition_folder(token_table(tokenizer, "train"), key)]
    found = [(folder, read_manifest(folder)) for folder in folders]
    return Lineage(key, tuple((folder.path(), manifest) for folder, manifest in found if manifest is not None))


def _name(unit: Manifest) -> str:
    return f"{unit.source}/{unit.partition}".strip("/")


def _makers(lineage: Lineage) -> dict[str, str]:
    """Which box made an input, by the input's name."""
    made: dict[str, str] = {}
    for number, (_, unit) in enumerate(lineage.units):
        made |= {f"{table}/{_name(unit)}": f"u{number}" for table in unit.tables}
    return made


def _maker(record: InputRecord, makers: dict[str, str], folders: Sequence[tuple[str, str]]) -> str | None:
    """The box that made an input: by the table that it is, or by the folder in which the file lies."""
    inside = (box for folder, box in folders if record.name.startswith(f"{folder}/"))
    return makers.get(record.name) or next(inside, None)


def _outside(unit: str, records: Sequence[InputRecord]) -> Iterable[tuple[str, list[str]]]:
    """Boxes for what came from elsewhere."""
    shown = records if len(records) <= _SHOWN_INPUTS else records[:1]
    for number, record in enumerate(shown):
        digest = (record.content_digest or record.digest)[:_SHOWN_DIGITS]
        is_file = record.name.startswith("/") or "://" in record.name
        yield f"{unit}i{number}", [record.name.rstrip("/").rpartition("/")[2] if is_file else record.name, digest]
    if rest := len(records) - len(shown):
        yield f"{unit}rest", [f"{as_count(rest)} more inputs"]


def _diagram(lineage: Lineage) -> str:
    makers = _makers(lineage)
    folders = [(folder, f"u{number}") for number, (folder, _) in enumerate(lineage.units)]
    nodes: list[tuple[str, Sequence[str]]] = []
    edges: dict[tuple[str, str], None] = {}
    for number, (_, unit) in enumerate(lineage.units):
        box, strangers = f"u{number}", []
        for record in unit.inputs:
            maker = _maker(record, makers, folders)
            if maker is None and _NONE_BEFORE not in record.name:
                strangers.append(record)
            elif maker not in (None, box):
                edges[maker, box] = None
        outside = list(_outside(box, strangers))
        nodes += [*outside, (box, [unit.stage, _name(unit), unit.fingerprint[:_SHOWN_DIGITS]])]
        edges |= {(other, box): None for other, _ in outside}
    return flowchart(nodes, edges)


def _written(unit: Manifest) -> int:
    return sum(file.bytes for table in unit.tables.values() for file in table.files)


def lineage_markdown(lineage: Lineage) -> str:
    """The diagram, and the units as a table beside it."""
    columns = ("unit", "fingerprint", "stage version", "inputs", "rows", "written", "took")
    rows = [
        (
            f"{unit.stage} {_name(unit)}",
            f"`{unit.fingerprint[:_SHOWN_DIGITS]}`",
            str(unit.stage_version),
            as_count(len(unit.inputs)),
            ", ".join(f"{as_count(table.rows)} {name.rpartition('/')[2]}" for name, table in unit.tables.items()),
            as_bytes(_written(unit)),
            as_duration(unit.seconds),
        )
        for _, unit in lineage.units
    ]
    return "\n".join(
        [
            f"# Where {lineage.key} comes from",
            "",
            fenced(_diagram(lineage)),
            markdown_table(columns, rows, texts=2),
            "A box is a unit of work or an input: its stage, its partition, and the first digits of its fingerprint, "
            "or of the input's digest. A unit with the same fingerprint has the same content.",
        ]
    )


def publish_lineage(root: CorpusRoot, key: PartitionKey, tokenizer: str) -> None:
    """Show in the run that goes on where a partition comes from.

    Raises:
        ManifestError: a manifest is damaged.
    """
    if not in_a_run():
        return
    lineage = read_lineage(root, key, tokenizer)
    if lineage.units:
        said = f"{len(lineage.units)} units of work: {key} in {root.url}"
        publish_markdown(artifact_key("lineage", *key), lineage_markdown(lineage), said)
