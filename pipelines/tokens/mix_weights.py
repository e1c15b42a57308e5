"""How much of each source a mixture takes: by its size, by weights, by a published table, or by its copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.parquet as pq

from schemas.catalog import read_table, units
from schemas.configs.mix import MixConfig
from schemas.configs.mixture_presets import MIXTURE_PRESETS
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError
from schemas.mixture import SourceStream

__all__ = ["copied_tokens", "source_weights"]


def copied_tokens(root: CorpusRoot, stream: SourceStream, max_copies: int) -> int:
    """Tokens of a source if each document were there 1 + its removed copies times, at most `max_copies` times.

    Copies are counted over `clusters/` of all partitions. Memory: the keepers of the corpus with their copies, and
    the index of one partition.
    """
    copies: dict[bytes, int] = {}
    for key in units(root, "clusters"):
        rows = read_table(root, "clusters", key, ["kept_id", "kept_source", "copies"])
        for kept_id, source, count in zip(*(rows.column(name).to_pylist() for name in rows.schema.names), strict=True):
            if source == stream.source:
                copies[kept_id] = copies.get(kept_id, 0) + count
    total = 0
    for index in stream.indexes:
        with root.folder.open_read(index.path) as opened:
            rows = pq.read_table(opened, columns=["document_id", "length"])
        times = np.array([1 + copies.get(one, 0) for one in rows.column("document_id").to_pylist()], dtype=np.int64)
        lengths = rows.column("length").to_numpy().astype(np.int64)
        total += int((lengths * np.minimum(times, max_copies)).sum())
    return total


def _of_preset(config: MixConfig, sources: Sequence[str]) -> dict[str, float]:
    preset = MIXTURE_PRESETS[config.preset or "gpt3"]
    by_row = {row.name: config.preset_sources.get(row.name, row.name) for row in preset.rows}
    missing = sorted(by_row[row] for row in config.preset_sources if by_row[row] not in sources)
    if missing:
        raise ConfigError(
            f"mix.preset_sources names {', '.join(missing)}; sources with tokens are {', '.join(sources)}"
        )
    found: dict[str, float] = {}
    for row in preset.rows:
        if by_row[row.name] in sources:
            found[by_row[row.name]] = found.get(by_row[row.name], 0.0) + row.weight_percent
    if not found:
        rows = ", ".join(by_row)
        raise ConfigError(
            f"mix.preset {config.preset}: no source is called {rows}; sources with tokens are {', '.join(sources)}: "
            "say with preset_sources which stands for which row"
        )
    return found


def source_weights(
    root: CorpusRoot, config: MixConfig, train: Sequence[SourceStream], remaining: Mapping[str, int]
) -> dict[str, float]:
    """The weight of each source of `train`, in any unit.

    Args:
        root: the corpus; read where copies count.
        config: says which weights.
        train: the sources, with their streams.
        remaining: windows of each source that the phase has before it.

    Raises:
        ConfigError: weights or preset name a source that is not there.
    """
    sources = [stream.source for stream in train]
    unknown = sorted(set(config.weights) - set(sources))
    if unknown:
        raise ConfigError(f"mix.weights names {', '.join(unknown)}; sources with tokens are {', '.join(sources)}")
    given = _of_preset(config, sources) if config.preset else config.weights
    if given:
        return {name: float(given.get(name, 0)) for name in sources}
    weights = {name: float(remaining[name]) for name in sources}
    if config.max_copies is not None:
        for stream in train:
            if stream.tokens:
                weights[stream.source] *= copied_tokens(root, stream, config.max_copies) / stream.tokens
    return weights
