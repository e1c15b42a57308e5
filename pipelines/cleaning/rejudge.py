"""Other thresholds on a partition that is cleaned already: rows are judged by their stored scores.

A row moves between `documents/` and `dropped/` without its page being read again, unless what it needs was never
stored: the text of a page that would be kept now, or the value of a rule that was not asked because another had failed.
The outcome is that of cleaning from scratch, row by row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from pipelines.cleaning.reread import Addresses
from pipelines.cleaning.row_counts import NO_PAGES
from pipelines.cleaning.verdict import judge, language_value, passes
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import RULES
from schemas.manifest import Manifest
from schemas.tables import DOCUMENTS, DROPPED

__all__ = ["Resettled", "resettle", "same_but_thresholds"]

# Settings that say nothing but which values are kept.
_ABOUT_VALUES = {"preset", "rules", "thresholds", "language_thresholds", "languages", *CleanConfig.operational}
# Reasons to drop an item that no rule of the config decided about.
_NO_RULES = frozenset({*NO_PAGES, "no-text", "repeat"})

Row = dict[str, Any]


@dataclass
class Resettled:
    """What becomes of the rows of one bucket.

    Attributes:
        documents: rows that are kept; of those with one id all but one are still to be dropped as repeats.
        dropped: rows that are not.
        again: addresses of the items that have to be read again, by file; they are in neither table.
        moved: rows whose verdict changed and could be told from what is stored.
    """

    documents: pa.Table
    dropped: pa.Table
    again: Addresses = field(default_factory=dict)
    moved: int = 0


def same_but_thresholds(manifest: Manifest, config: CleanConfig) -> CleanConfig | None:
    """The settings that a partition was cleaned with, if they differ from `config` in thresholds and languages alone.

    None too where it holds rows dropped for a reason that is not among these settings' rules.
    """
    try:
        old = CleanConfig.model_validate(manifest.config)
    except ValidationError:
        return None
    active = config.active_rules()
    reasons = {name.removeprefix("dropped.") for name in manifest.counts if name.startswith("dropped.")}
    if (
        old.active_rules() != active
        or old.model_dump(exclude=_ABOUT_VALUES) != config.model_dump(exclude=_ABOUT_VALUES)
        or not reasons <= _NO_RULES.union(active)
    ):
        return None
    return old


def _flips(table: pa.Table, old: CleanConfig, new: CleanConfig) -> NDArray[np.bool_]:
    """Which rows have a value that one config keeps and the other does not, or that the other would measure anew.

    Where no value flips, each rule is asked or not asked as before, so that nothing about the row changes.
    """
    flips = np.zeros(table.num_rows, dtype=bool)
    scores = pa.concat_arrays(table.column("scores").chunks) if table.num_rows else None
    if scores is None:
        return flips
    codes = scores.keys.dictionary_encode()
    numbers, values = codes.indices.to_numpy(), scores.items.to_numpy(zero_copy_only=False).astype(np.float32)
    offsets = scores.offsets.to_numpy()
    languages, spoken = _languages_of_scores(table, offsets)
    flipped = np.zeros(len(values), dtype=bool)
    for number, rule in enumerate(codes.dictionary.to_pylist()):
        if rule not in RULES or RULES[rule].side == "edits":
            continue
        for code, language in enumerate(spoken):
            if old.threshold(rule, language) != new.threshold(rule, language):
                mine = (numbers == number) & (languages == code)
                flipped[mine] = passes(rule, values[mine], old, language) != passes(rule, values[mine], new, language)
    before = np.concatenate(([0], np.cumsum(flipped)))
    flips |= before[offsets[1:]] > before[offsets[:-1]]
    if "language" in new.active_rules() and old.kept_languages() != new.kept_languages():
        flips |= ~pc.is_in(table.column("language"), pa.array(_unmoved(table, old, new), pa.string())).to_numpy()
    return flips


def _languages_of_scores(table: pa.Table, offsets: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[str | None]]:
    """For each score the number of its row's language, and the languages by number."""
    languages = pa.concat_arrays(table.column("language").chunks).dictionary_encode(null_encoding="encode")
    return np.repeat(languages.indices.to_numpy(), np.diff(offsets)), languages.dictionary.to_pylist()


def _unmoved(table: pa.Table, old: CleanConfig, new: CleanConfig) -> list[str]:
    """Languages of rows that are wanted under both configs or under neither."""
    languages = [one for one in table.column("language").unique().to_pylist() if one is not None]
    return [one for one in languages if language_value(one, 1.0, old) == language_value(one, 1.0, new)]


def _judged_again(row: Row, old: CleanConfig, new: CleanConfig) -> Row | None:
    """The row under `new`, with `rules` where it is dropped; None where what is stored does not tell.

    `text` is there in rows of `documents/` and in repeats, which have that of their twin.
    """
    stored: dict[str, float] = dict(row["scores"] or ())
    rules = row.get("rules") or []
    if rules == ["no-text"] and all(map(_is_about_url, stored)):
        return row if all(passes(rule, np.float32(value), new, None) for rule, value in stored.items()) else None
    if not stored:
        return row
    languages_differ = old.kept_languages() != new.kept_languages()

    def value_of(rule: str) -> float:
        if rule == "language" and languages_differ:
            return language_value(row["language"], row["language_score"], new)
        return stored[rule]

    try:
        judged = judge(new, value_of, row["language"])
    except KeyError:
        return None
    edits = {name: value for name, value in stored.items() if name not in RULES or RULES[name].side == "edits"}
    again = {**row, "scores": sorted((judged.scores | edits).items())}
    if any(map(_is_about_url, judged.failed)):
        # Such a page is not extracted, so that its row says less than that of one that was.
        decided = {"rules": list(judged.failed), "unevaluated": list(judged.unevaluated)}
        return {**again, **decided} if any(map(_is_about_url, rules)) else None
    if rules == ["no-text"]:
        left = [rule for rule in new.active_rules() if rule not in judged.scores and rule not in edits]
        return {**again, "unevaluated": left}
    if not judged.failed:
        return {**again, "rules": []} if row.get("text") is not None else None
    moved = {"text": None, "sentence_ends": None, "rules": list(judged.failed), "unevaluated": list(judged.unevaluated)}
    return {**again, **moved}


def _is_about_url(rule: str) -> bool:
    return rule in RULES and RULES[rule].about == "url"


def _with_twins_text(dropped: pa.Table, repeats: NDArray[np.bool_], documents: pa.Table) -> list[Row]:
    """Repeats with the text of the document that was kept; it lies in the same bucket, since the id is the same."""
    wanted = dropped.filter(pa.array(repeats)).to_pylist()
    if not wanted:
        return []
    ids = documents.column("document_id")
    twins = documents.filter(pc.is_in(ids, pa.array([row["document_id"] for row in wanted], ids.type)))
    texts = dict(zip(twins.column("document_id").to_pylist(), twins.column("text").to_pylist(), strict=True))
    return [{**row, "text": texts[row["document_id"]]} for row in wanted]


def resettle(documents: pa.Table, dropped: pa.Table, old: CleanConfig, new: CleanConfig) -> Resettled:
    """Judge the rows of one bucket, cleaned under `old`, by the thresholds of `new`."""
    repeats = np.array([rules == ["repeat"] for rules in dropped.column("rules").to_pylist()], dtype=bool)
    kept_flips = _flips(documents, old, new)
    dropped_flips = _flips(dropped, old, new) & ~repeats
    unsure: list[Row] = [
        *documents.filter(pa.array(kept_flips)).to_pylist(),
        *dropped.filter(pa.array(dropped_flips)).to_pylist(),
        *_with_twins_text(dropped, repeats, documents),
    ]
    rows: dict[bool, list[Row]] = {True: [], False: []}
    again: defaultdict[str, set[int]] = defaultdict(set)
    for row in unsure:
        judged = _judged_again(row, old, new)
        if judged is None:
            again[row["record_file"]].add(row["record_offset"])
        else:
            rows[judged.get("text") is not None].append(judged)
    lost = sum(map(len, again.values()))
    return Resettled(
        documents=_together(documents.filter(pa.array(~kept_flips)), rows[True], DOCUMENTS),
        dropped=_together(dropped.filter(pa.array(~(dropped_flips | repeats))), rows[False], DROPPED),
        again=again,
        moved=len(unsure) - int(repeats.sum()) - lost,
    )


def _together(table: pa.Table, rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    names = schema.names
    extra = [{name: row.get(name) for name in names} for row in rows]
    return pa.concat_tables([table.cast(schema), pa.Table.from_pylist(extra, schema=schema)])
