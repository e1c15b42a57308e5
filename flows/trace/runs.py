"""Training runs: which samples a step took, which windows they are, and in which steps a window stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from flows.trace.places import PieceFacts, RunUses, WindowFacts
from flows.trace.streams import Stream, open_shard
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import InputError, ShardError
from schemas.mixture import MixturePlan, SourceStream, read_mixture
from schemas.run import RunConfig, latest_step, read_run, require_run
from schemas.storage import Folder, join_url
from training.data.order import SampleOrder
from training.data.skips import RunOrder, read_skips
from training.loop.schedule import BatchSchedule

__all__ = ["TracedRun", "open_run", "runs_of", "uses_of", "windows_of_step"]

_METRICS = "metrics.jsonl"
_TAIL_BYTES = 65_536  # of the log, where its last row stands


class _Ramp(NamedTuple):
    """Of a run's settings, those that say which samples a step takes."""

    batch: int
    ramp_start: int
    ramp_tokens: int


@dataclass(frozen=True)
class TracedRun:
    """A run with the plan that it goes by."""

    folder: str
    root: CorpusRoot
    config: RunConfig
    plan: MixturePlan

    @cached_property
    def order(self) -> RunOrder:
        """Which sample is which window."""
        return RunOrder(SampleOrder(self.plan, self.config.seed), read_skips(self.folder))

    @cached_property
    def schedule(self) -> BatchSchedule:
        """Which samples each step takes."""
        ramp = _Ramp(**{name: int(self.config.settings[name]) for name in _Ramp._fields})
        return BatchSchedule(ramp, self.plan.sequence_length)

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return int(self.config.settings["steps"])

    @cached_property
    def done(self) -> int:
        """The last step that was done, as the log or a checkpoint says; 0 before the first."""
        place = Folder(self.folder)
        if not place.exists(_METRICS):
            return latest_step(self.folder) or 0
        with place.open_read(_METRICS) as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _TAIL_BYTES))
            lines = [line for line in stream.read().split(b"\n") if line.endswith(b"}")]
        return int(json.loads(lines[-1])["step"]) if lines else 0

    def step_of(self, sample: int) -> int:
        """The step that takes a sample, counted from 1."""
        return self.schedule.whole_steps(sample) + 1


def open_run(run: str, root: str | None = None) -> TracedRun:
    """A run that was trained on a mixture.

    Args:
        run: its folder.
        root: the corpus; where not given, the one that the run was trained from.

    Raises:
        InputError: there is no such run, or it has no mixture of its own, or the plan is another one now.
        ManifestError: its description or the plan is damaged.
    """
    config = require_run(run)
    if config.kind != "train":
        raise InputError(
            f"{run} was fine-tuned from {config.base} and reads no mixture; give a run of `corpusmill train`"
        )
    corpus = CorpusRoot(root or config.root)
    plan = read_mixture(corpus.mixture_folder(), config.mixture)
    if plan.digest() != config.plan_digest:
        raise InputError(
            f"{run} was trained on another mixture than the {config.mixture!r} that is in {corpus.url} now; "
            "give --root the corpus that it was trained from"
        )
    return TracedRun(run, corpus, config, plan)


def runs_of(root: CorpusRoot, folders: Sequence[str] = ()) -> Iterator[TracedRun]:
    """The runs in the corpus's own folder and in others, trained on a plan that is there as it was."""
    for place in (join_url(root.url, "runs"), *folders):
        names = [""] if Folder(place).exists("config.json") else Folder(place).find("config.json")
        for run in (join_url(place, name) if name else place for name in names):
            config = read_run(run)
            if config is None or config.kind != "train" or not root.mixture_folder().exists(f"{config.mixture}.json"):
                continue
            plan = read_mixture(root.mixture_folder(), config.mixture)
            if plan.digest() == config.plan_digest:
                yield TracedRun(run, root, config, plan)


@dataclass(frozen=True)
class _Stretch:
    """One partition in the stream of a source: where it begins there, and how long it is."""

    stream: Stream
    first: int
    tokens: int


def _stretches(root: CorpusRoot, source: SourceStream) -> list[_Stretch]:
    """The partitions of a source's stream, in plan order."""
    found: list[_Stretch] = []
    first = 0
    for shard in source.shards:
        table, key = _place_of(shard.path)
        if found and (found[-1].stream.table, found[-1].stream.key) == (table, key):
            last = found.pop()
            found.append(_Stretch(last.stream, last.first, last.tokens + shard.tokens))
        else:
            found.append(_Stretch(Stream(root, table, key), first, shard.tokens))
        first += shard.tokens
    return found


def _place_of(path: str) -> tuple[str, PartitionKey]:
    """Table and partition of a shard: tokens/<tokenizer>/<split>/<source>/<partition>/<name>."""
    parts = path.split("/")
    return "/".join(parts[:3]), PartitionKey(parts[3], "/".join(parts[4:-1]))


def _require_pinned(traced: TracedRun, source: SourceStream, spans: Sequence[tuple[int, int]]) -> None:
    """Check that the shards under some spans of a source are those that the plan pins.

    Raises:
        ShardError: one was written anew.
    """
    first = 0
    for shard in source.shards:
        if any(start < first + shard.tokens and first < end for start, end in spans):
            try:
                header, _ = open_shard(traced.root, shard.path)
            except InputError as error:
                raise ShardError(
                    f"{traced.root.url}/{shard.path} is gone, and {traced.folder} was planned with it; its tokens then "
                    "are not known any more"
                ) from error
            if header.checksum != shard.checksum:
                raise ShardError(
                    f"{traced.root.url}/{shard.path} was written anew since {traced.folder} was planned; its tokens "
                    "then are not known any more"
                )
        first += shard.tokens


def _covered(stretches: Sequence[_Stretch], spans: Sequence[tuple[int, int]]) -> list[list[dict[str, Any]]]:
    """For each span of a source's stream, the pieces in it, over all partitions that it runs through."""
    found: list[list[dict[str, Any]]] = [[] for _ in spans]
    for one in stretches:
        mine = [
            (number, max(start, one.first) - one.first, min(end, one.first + one.tokens) - one.first)
            for number, (start, end) in enumerate(spans)
            if start < one.first + one.tokens and one.first < end
        ]
        pieces = one.stream.pieces_between([(start, end) for _, start, end in mine])
        about = {"source": one.stream.key.source, "partition": one.stream.key.partition}
        for (number, _, _), some in zip(mine, pieces, strict=True):
            found[number] += [{**about, **piece} for piece in some]
    return found


def windows_of_step(traced: TracedRun, step: int) -> list[WindowFacts]:
    """What a step of a run read, sample by sample.

    Raises:
        InputError: the run has no such step.
        ShardError: a shard is missing, damaged or another one than the plan pins.
    """
    if not 1 <= step <= traced.steps:
        raise InputError(f"{traced.folder} has steps 1 to {traced.steps}, not {step}; give one of these")
    start, stop = traced.schedule.sample_range(step - 1)
    samples = traced.order.locate(start, stop)
    length = traced.plan.sequence_length
    found: dict[int, WindowFacts] = {}
    for number, source in enumerate(traced.plan.train):
        mine = (samples.sources == number).nonzero()[0].tolist()
        spans = [(window * length, (window + 1) * length + 1) for window in samples.windows[mine].tolist()]
        _require_pinned(traced, source, spans)
        for place, (begin, _), pieces in zip(
            mine, spans, _covered(_stretches(traced.root, source), spans), strict=True
        ):
            found[place] = WindowFacts(start + place, source.source, begin // length, pieces)
    return [found[place] for place in sorted(found)]


def _windows_with(traced: TracedRun, number: int, pieces: Sequence[PieceFacts], key: PartitionKey) -> set[int]:
    """The windows of a source that hold a token of some pieces, as input or as label."""
    source, length = traced.plan.train[number], traced.plan.sequence_length
    windows: set[int] = set()
    for one in _stretches(traced.root, source):
        for piece in pieces:
            if (one.stream.table, one.stream.key) == (piece.table, key):
                first, last = one.first + piece.start, one.first + piece.start + piece.tokens - 1
                # The first token of a window is the last label of the one before it.
                windows.update(range(max(0, (first - 1) // length), last // length + 1))
    return {window for window in windows if window < source.windows(length)}


def uses_of(traced: TracedRun, key: PartitionKey, pieces: Sequence[PieceFacts]) -> RunUses | None:
    """The steps of a run in which a document stands; None where the plan has no token of it.

    Raises:
        ShardError: a shard with its tokens is another one than the plan pins.
    """
    steps: set[int] = set()
    pinned = {shard.path for source in traced.plan.train for shard in source.shards}
    mine = [piece for piece in pieces if any(part["shard"] in pinned for part in piece.shards)]
    if not mine:
        return None
    for number, source in enumerate(traced.plan.train):
        windows = _windows_with(traced, number, mine, key)
        if windows:
            length = traced.plan.sequence_length
            _require_pinned(traced, source, [(min(windows) * length, (max(windows) + 1) * length + 1)])
        for window in windows:
            steps.update(traced.step_of(sample) for sample in traced.order.find(number, window))
    listed = sorted(step for step in steps if step <= traced.steps)
    return RunUses(traced.folder, traced.config.mixture, listed, sum(step <= traced.done for step in listed))
