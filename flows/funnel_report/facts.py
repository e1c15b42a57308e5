"""Everything that the funnel page tells, read in two passes over the rows and one over the samples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ValidationError

from flows.funnel_report.excerpts import Excerpt, RawTexts, cut
from flows.funnel_report.histograms import Histogram, Range, Side, bin_edges
from flows.funnel_report.reasons import Losses, add_losses, read_losses
from flows.funnel_report.row_groups import Place, RowGroup, rows_at, walk_rows
from flows.funnel_report.samples import Sampled, Sampler
from schemas.catalog import require_manifest, units
from schemas.configs.clean import CleanConfig
from schemas.configs.clean_presets import RULES
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.errors import InputError
from schemas.manifest import Manifest, read_manifest

__all__ = ["FunnelFacts", "RuleFacts", "Sample", "SourceFacts", "read_funnel_facts"]

_DROPPED_SAMPLES = 3
_KEPT_SAMPLES = 2
_TABLES = ("documents", "dropped")


@dataclass(frozen=True)
class Sample:
    """One row to look at."""

    row: dict[str, Any]
    value: float | None
    excerpt: Excerpt


@dataclass
class RuleFacts:
    """One rule in one source.

    Attributes:
        name: of the rule, or of what else was measured.
        thresholds: of the source's partitions, each with the side that is kept; empty where nothing is compared.
        first: rows dropped that broke this rule first, which is how the funnel counts.
        broken: rows dropped that broke it at all.
        alone: rows dropped that broke no other.
        histogram: of the measured values; None where nothing is measured.
        dropped: samples of rows that broke it.
        kept: samples of documents that it was asked about.
    """

    name: str
    thresholds: tuple[tuple[float, Side], ...] = ()
    first: int = 0
    broken: int = 0
    alone: int = 0
    histogram: Histogram | None = None
    dropped: list[Sample] = field(default_factory=list)
    kept: list[Sample] = field(default_factory=list)


@dataclass(frozen=True)
class SourceFacts:
    """One source; `rules` is None where only sums are told."""

    name: str
    losses: Losses
    partitions: dict[PartitionKey, Losses]
    rules: tuple[RuleFacts, ...] | None


@dataclass(frozen=True)
class FunnelFacts:
    """The sources in partition order.

    Attributes:
        root: URL of the corpus.
        tokenizer: the one that tokens are counted in.
        sources: in partition order.
        classifiers: manifests of the quality classifiers trained on this corpus, by name.
    """

    root: str
    tokenizer: str | None
    sources: tuple[SourceFacts, ...]
    classifiers: tuple[Manifest, ...] = ()


class _SourceReader:
    """Reads the rows of one source."""

    def __init__(self, root: CorpusRoot, keys: list[PartitionKey]) -> None:
        self._root = root
        self._keys = keys
        self._settings = {key: require_manifest(root, "documents", key).config for key in keys}
        self._configs = [config for key in keys if (config := _config(self._settings[key])) is not None]
        self.rules: dict[str, RuleFacts] = {}
        self._samplers: dict[tuple[str, str], Sampler] = {}

    def _groups(self) -> Iterable[RowGroup]:
        for key in self._keys:
            for table in _TABLES:
                yield from walk_rows(self._root, table, key)

    def _rule(self, name: str) -> RuleFacts:
        return self.rules.setdefault(name, RuleFacts(name, _thresholds(name, self._configs)))

    def _sample(self, table: str, name: str) -> Sampler:
        size = _DROPPED_SAMPLES if table == "dropped" else _KEPT_SAMPLES
        return self._samplers.setdefault((table, name), Sampler(size, f"{table} {name}"))

    def _first_pass(self) -> dict[str, Range]:
        """Ranges of values, counts and samples."""
        ranges: defaultdict[str, Range] = defaultdict(Range)
        for group in self._groups():
            for name, (rows, values) in group.scores.items():
                ranges[name].add(values)
                self._rule(name)
                if group.place.table == "documents":
                    self._sample("documents", name).add(group, rows, values)
            if group.place.table == "dropped":
                self._count_broken(group)
        return ranges

    def _count_broken(self, group: RowGroup) -> None:
        firsts = Counter(group.first_failed)
        broken_rules = np.zeros(len(group.rows), dtype=np.int64)
        for rows in group.failed.values():
            broken_rules[rows] += 1
        for name, rows in group.failed.items():
            rule = self._rule(name)
            rule.broken += len(rows)
            rule.first += firsts[name]
            rule.alone += int((broken_rules[rows] == 1).sum())
            values = np.full(len(group.rows), np.nan, dtype=np.float32)
            if name in group.scores:
                measured, found = group.scores[name]
                values[measured] = found
            self._sample("dropped", name).add(group, rows, values[rows])

    def _second_pass(self, ranges: dict[str, Range]) -> None:
        """Histograms, now that the ranges are known."""
        for name, values in ranges.items():
            if values.count:
                rule = self._rule(name)
                rule.histogram = Histogram(bin_edges(values, rule.thresholds))
        for group in self._groups():
            for name, (_, found) in group.scores.items():
                histogram = self.rules[name].histogram
                if histogram is not None:
                    histogram.add(found, kept=group.place.table == "documents")

    def _look_at_samples(self) -> None:
        chosen = {sampler: made.rows() for sampler, made in self._samplers.items()}
        places: set[Place] = {one.place for rows in chosen.values() for one in rows}
        rows = rows_at(self._root, places)
        raw = {key: RawTexts(key, settings) for key, settings in self._settings.items()}
        seen: dict[Place, Excerpt] = {}
        for (table, name), sampled in sorted(chosen.items()):
            into = self.rules[name].dropped if table == "dropped" else self.rules[name].kept
            for one in sampled:
                if one.place not in seen:
                    row = rows[one.place]
                    seen[one.place] = cut(row["text"]) if table == "documents" else raw[one.place.key].excerpt(row)
                into.append(_sample_of(rows[one.place], one, seen[one.place]))

    def read(self) -> tuple[RuleFacts, ...]:
        """The rules, in the order in which they are listed, those that are no rules after them."""
        self._second_pass(self._first_pass())
        self._look_at_samples()
        order = {name: place for place, name in enumerate(RULES)}
        return tuple(sorted(self.rules.values(), key=lambda rule: (order.get(rule.name, len(order)), rule.name)))


def _sample_of(row: dict[str, Any], sampled: Sampled, excerpt: Excerpt) -> Sample:
    return Sample({name: value for name, value in row.items() if name != "text"}, sampled.value, excerpt)


def _config(settings: dict[str, Any]) -> CleanConfig | None:
    try:
        return CleanConfig.model_validate(settings)
    except ValidationError:
        return None  # of another version of this program: its thresholds are not known here


def _thresholds(name: str, configs: list[CleanConfig]) -> tuple[tuple[float, Side], ...]:
    spec = RULES.get(name)
    if spec is None or spec.side == "edits":
        return ()
    asking = [config for config in configs if name in config.active_rules()]
    found = {config.threshold(name, language) for config in asking for language in (None, *config.language_thresholds)}
    return tuple(sorted((threshold, spec.side) for threshold in found))


def _tokenizer(root: CorpusRoot) -> str | None:
    """The first tokenizer, by name, that there are shards of."""
    found = sorted(name for name in {path.split("/")[0] for path in root.folder.child("tokens").files_below()})
    return found[0] if found else None


def _classifiers(root: CorpusRoot) -> tuple[Manifest, ...]:
    folder = root.folder.child("classifiers")
    found = (read_manifest(folder.child(name)) for name in folder.find(MANIFEST_NAME))
    return tuple(manifest for manifest in found if manifest is not None)


def read_funnel_facts(url: str, most_sources: int) -> FunnelFacts:
    """Read a corpus; the rules of its `most_sources` largest sources, sums alone of the others.

    Raises:
        InputError: nothing was cleaned there.
        ContractError: rows do not add up to their manifest, or a file is missing or damaged.
    """
    root = CorpusRoot(url)
    keys = units(root, "documents")
    if not keys:
        raise InputError(f"nothing was cleaned in {url}: run `corpusmill run clean` first, or give another corpus")
    tokenizer = _tokenizer(root)
    of_source: defaultdict[str, dict[PartitionKey, Losses]] = defaultdict(dict)
    for key in keys:
        of_source[key.source][key] = read_losses(root, key, tokenizer)
    sums = {source: add_losses(list(parts.values())) for source, parts in of_source.items()}
    largest = sorted(sums, key=lambda source: (-sums[source].items, source))[:most_sources]
    sources = tuple(
        SourceFacts(source, sums[source], parts, _SourceReader(root, list(parts)).read() if source in largest else None)
        for source, parts in of_source.items()
    )
    return FunnelFacts(url, tokenizer, sources, _classifiers(root))
