"""The safety brake: a partition that loses more pages than its settings allow is not committed but reported."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from pipelines.cleaning.row_counts import NO_PAGES
from pipelines.cleaning.url_key import url_key
from pipelines.engine.staging import StagedTable
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import RULES
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import LossBrakeError
from schemas.storage import Folder
from schemas.takedown import TAKEDOWN_RULE, TakedownList

__all__ = ["brake_folder", "check_brake", "forget_samples", "lost_share"]

# A repeat passed every rule; what was taken down says nothing of the rules.
_NOT_JUDGED = (*NO_PAGES, "repeat", TAKEDOWN_RULE)
_SAMPLES = 5
_COLUMNS = ["url", "title", "language", "scores", "rules", "record_file", "record_offset"]


def lost_share(counts: Mapping[str, int]) -> tuple[int, int]:
    """Of the counts of a manifest: pages that rules dropped or that gave no text, and all pages that were judged."""
    lost = counts["dropped"] - sum(counts.get(f"dropped.{reason}", 0) for reason in _NOT_JUDGED)
    return lost, lost + counts["documents"]


def brake_folder(root: CorpusRoot, key: PartitionKey) -> tuple[Folder, str]:
    """Where the report of a partition lies: folder and file name."""
    return root.folder.child("brakes", key.source), key.partition.replace("/", "+") + ".json"


def _lost_rows(dropped: StagedTable) -> Iterator[dict[str, Any]]:
    for file in dropped.files:
        with dropped.folder.open_read(file.name) as stream:
            for row in pq.read_table(stream, columns=_COLUMNS).to_pylist():
                if row["rules"][0] not in _NOT_JUDGED:
                    yield row


def _draw(row: dict[str, Any]) -> bytes:
    """A number that depends on the row alone: the samples are random and the same each time."""
    address = json.dumps([row["url"], row["record_file"], row["record_offset"]])
    return hashlib.blake2b(address.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _sample(row: dict[str, Any], rule: str, config: CleanConfig) -> dict[str, Any]:
    measured = dict(row["scores"] or ()).get(rule)
    side = RULES[rule].side.replace("_", " ") if rule in RULES else None
    kept = f"{side} {config.threshold(rule, row['language']):g}" if side else None
    shown = {name: row[name] for name in _COLUMNS if name != "scores"}
    return {"value": measured, "kept_values": kept, **shown}


def _report(counts: Mapping[str, int], dropped: StagedTable, config: CleanConfig) -> dict[str, Any]:
    lost, judged = lost_share(counts)
    failing: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    drawn: defaultdict[str, list[tuple[bytes, int, dict[str, Any]]]] = defaultdict(list)
    for number, row in enumerate(_lost_rows(dropped)):
        failing.update(row["rules"])
        alone.update(row["rules"] if len(row["rules"]) == 1 else ())
        for rule in row["rules"]:
            drawn[rule].append((_draw(row), number, row))
            drawn[rule] = heapq.nsmallest(_SAMPLES, drawn[rule]) if len(drawn[rule]) > 4 * _SAMPLES else drawn[rule]
    return {
        "pages": judged,
        "lost": lost,
        "share": round(lost / judged, 4),
        "brake": config.brake,
        "rules": {
            rule: {
                "failed": number,
                "failed_alone": alone[rule],
                "samples": [_sample(row, rule, config) for _, _, row in heapq.nsmallest(_SAMPLES, drawn[rule])],
            }
            for rule, number in sorted(failing.items(), key=lambda one: (-one[1], one[0]))
        },
    }


def forget_samples(root: CorpusRoot, takedowns: TakedownList) -> None:
    """Take the samples of pages that were taken down out of all reports."""
    folder = root.folder.child("brakes")
    for name in folder.files_below():
        report = json.loads(folder.read(name))
        rules = {
            rule: {**found, "samples": [one for one in found["samples"] if not takedowns.has_url(url_key(one["url"]))]}
            for rule, found in report["rules"].items()
        }
        if rules != report["rules"]:
            _put(folder, name, {**report, "rules": rules})


def _put(folder: Folder, name: str, report: dict[str, Any]) -> None:
    folder.put_whole(name, json.dumps(report, indent=1, ensure_ascii=False).encode("utf-8"))


def check_brake(
    root: CorpusRoot, key: PartitionKey, config: CleanConfig, counts: Mapping[str, int], dropped: StagedTable
) -> None:
    """See that rules did not drop more of a partition than `brake` allows; else write a report and stop.

    Raises:
        LossBrakeError: they did.
    """
    folder, name = brake_folder(root, key)
    lost, judged = lost_share(counts)
    if judged < config.brake_least_pages or lost <= config.brake * judged:
        folder.remove(name)
        return
    report = {"source": key.source, "partition": key.partition, **_report(counts, dropped, config)}
    _put(folder, name, report)
    most = ", ".join(f"{rule} {found['failed']:,}" for rule, found in list(report["rules"].items())[:3])
    raise LossBrakeError(
        f"{key}: rules dropped {lost:,} of {judged:,} pages ({lost / judged:.1%}), the brake is at {config.brake:.1%}; "
        f"most failed {most}; nothing was committed: look at the samples in {folder.path(name)}, then change the rules "
        "or go on with --set brake=1"
    )
