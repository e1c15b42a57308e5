"""Sets that travel arrive with their partners."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.pair_blocks import PAIRS, portion, unique_pairs
from pipelines.dedup.set_blocks import joined_pairs, left_sets
from pipelines.dedup.shingles import ShingleSets
from schemas.tables import ID

PAIR = st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 5), st.integers(0, 9))


def identity(number: int) -> bytes:
    return int(number).to_bytes(16, "little")


def table_of(pairs: list[tuple[int, int, int, int]]) -> pa.Table:
    left, files, right, bands = zip(*pairs, strict=True) if pairs else ((), (), (), ())
    columns = [
        pa.array([identity(one) for one in left], ID),
        pa.array([identity(one) for one in right], ID),
        pa.array(files, pa.int32()),
        pa.array(bands, pa.int32()),
    ]
    return pa.Table.from_arrays(columns, schema=PAIRS)


@given(st.lists(PAIR, max_size=30), st.integers(1, 3))
def test_portions_hold_each_pair_once_with_its_lowest_band(pairs: list[tuple], portions: int) -> None:
    expected: dict[tuple, int] = {}
    for left, file, right, band in pairs:
        expected[left, file, right] = min(band, expected.get((left, file, right), band))
    found = {}
    for number in range(portions):
        for row in unique_pairs(portion(table_of(pairs), "left_id", number, portions)).to_pylist():
            key = (row["left_id"][0], row["right_file"], row["right_id"][0])
            assert key not in found
            found[key] = row["band"]
    assert found == expected


@given(st.lists(PAIR, max_size=30), st.sampled_from([[0, 1, 2, 3], [0, 0, 0, 1]]))
def test_every_pair_meets_its_two_sets(pairs: list[tuple], groups: list[int]) -> None:
    # Text i has the hashes i, i + 1, ... i times; right texts 4 and 5 are not at hand.
    hashes = [list(range(i, 2 * i)) for i in range(6)]
    sets = ShingleSets(
        np.array([one for some in hashes for one in some], dtype=np.uint64), np.cumsum([0, *map(len, hashes)])
    )
    ids = pa.chunked_array([[identity(i) for i in range(6)]], ID)
    unique = unique_pairs(table_of(pairs))
    found = []
    # The same ids are those of documents of all four files.
    here = pa.chunked_array(ids.slice(0, 4).chunks * 4)
    texts = pa.table({"file": np.repeat(np.arange(4), 4), "document_id": here})
    for group, rows in left_sets(unique, ids, sets, 7, np.array(groups)):
        left, joined = joined_pairs(rows, texts)
        assert set(joined.left_files.tolist()) <= {7}
        for place, number in enumerate(joined.left_set.tolist()):
            text = joined.left_ids[place].as_py()[0]
            assert left.hashes[left.ends[number] : left.ends[number + 1]].tolist() == hashes[text]
            file = int(joined.right_files[place])
            assert groups[file] == group
            assert (file, joined.right_ids[place].as_py()) == (
                joined.right_set[place] // 4,
                identity(joined.right_set[place] % 4),
            )
            found.append((text, file, joined.right_ids[place].as_py()[0], joined.bands[place].as_py()))
    expected = [(r["left_id"][0], r["right_file"], r["right_id"][0], r["band"]) for r in unique.to_pylist()]
    assert sorted(found) == sorted(row for row in expected if row[2] < 4)
