from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.corpus_root import CorpusRoot
from training.data.batches import BatchReader
from training.data.order import SampleOrder, Samples
from training.data.shards import open_streams
from training.data.skips import RunOrder, Skip, append_skips, read_skips


def skip(start: int, stop: int) -> Skip:
    return Skip(step=1, start=start, stop=stop, reason="not finite", windows="books windows 1")


def pairs(samples: Samples) -> list[tuple[int, int]]:
    return list(zip(samples.sources.tolist(), samples.windows.tolist(), strict=True))


@pytest.fixture
def order(make_corpus: Callable[..., Any]) -> SampleOrder:
    return SampleOrder(make_corpus(), 0)


@pytest.mark.parametrize("skips", [[], [(0, 8)], [(40, 48), (16, 24)], [(16, 24), (24, 32)], [(392, 400)]])
def test_the_run_is_the_plan_less_what_is_left_out(order: SampleOrder, skips: list[tuple[int, int]]) -> None:
    run = RunOrder(order, [skip(*one) for one in skips])
    left = [number for number in range(len(order)) if not any(a <= number < b for a, b in skips)]
    expected = [pair for number, pair in enumerate(pairs(order.locate(0, len(order)))) if number in set(left)]
    assert len(run) == len(left)
    assert pairs(run.locate(0, len(run))) == expected
    for start, stop in ((0, 5), (7, 50), (20, 21), (30, 30), (len(run) - 3, len(run))):
        assert pairs(run.locate(start, stop)) == expected[start:stop]


def test_finding_is_the_inverse_of_locating(order: SampleOrder) -> None:
    run = RunOrder(order, [skip(16, 24), skip(40, 48)])
    for sample, (source, window) in enumerate(pairs(run.locate(0, 120))):
        assert sample in run.find(source, window)
    gone = pairs(order.locate(16, 24))
    for source, window in gone:
        assert len(run.find(source, window)) == len(order.find(source, window)) - 1


def test_rows_are_kept_and_a_half_written_one_is_none(tmp_path: Path) -> None:
    run = str(tmp_path)
    assert read_skips(run) == []
    append_skips(run, [skip(0, 8)])
    append_skips(run, [skip(16, 24), skip(24, 32)])
    assert [one.start for one in read_skips(run)] == [0, 16, 24]
    with (tmp_path / "skips.jsonl").open("a") as stream:
        stream.write('{"step": 3')
    assert len(read_skips(run)) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_leave_them_out(make_corpus: Callable[..., Any], corpus_root: CorpusRoot, workers: int) -> None:
    plan = make_corpus()
    streams = open_streams(corpus_root, plan, "train")
    whole, less = (
        BatchReader(plan, streams, 0, workers=workers, skips=skips) for skips in ([], [skip(8, 16), skip(32, 40)])
    )
    expected = [pairs(whole.take(8).samples) for _ in range(8)]
    assert [pairs(less.take(8).samples) for _ in range(6)] == [expected[number] for number in (0, 2, 3, 5, 6, 7)]
    for reader in (whole, less):
        reader.close()
