from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey, natural_order
from schemas.errors import ConfigError

ORDERED = ["2026-9", "2026-10", "a", "a/b", "a1", "a1b", "a2", "a02", "a10", "part", "part-9", "part-10", "part-10/2"]


def test_numbers_in_names_count_as_numbers() -> None:
    shuffled = list(ORDERED)
    random.Random(3).shuffle(shuffled)
    found = sorted(shuffled, key=natural_order)
    assert found.index("part-9") < found.index("part-10") < found.index("part-10/2")
    assert found.index("2026-9") < found.index("2026-10")
    assert found.index("a1") < found.index("a2") < found.index("a10")
    assert found == sorted(ORDERED, key=natural_order)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)


@given(NAMES, NAMES)
def test_the_order_is_total(left: str, right: str) -> None:
    assert (natural_order(left) == natural_order(right)) == (left == right)
    assert (natural_order(left) < natural_order(right)) == (
        left != right and not natural_order(right) < natural_order(left)
    )


def commit(root: CorpusRoot, table: str, *keys: tuple[str, str]) -> None:
    for key in keys:
        root.partition_folder(table, PartitionKey(*key)).put_whole(MANIFEST_NAME, b"{}")


def test_partitions_come_by_source_in_the_list_then_by_name_then_naturally(corpus_root: CorpusRoot) -> None:
    keys = [("web", "10"), ("web", "9"), ("books", "a/2"), ("books", "a/10"), ("wiki", "x"), ("zeta", "x")]
    commit(corpus_root, "documents", *keys)
    corpus_root.partition_folder("documents", PartitionKey("web", "11")).put_whole("part-00000.parquet", b"")
    assert [str(key) for key in corpus_root.partitions("documents")] == [
        "books/a/2",
        "books/a/10",
        "web/9",
        "web/10",
        "wiki/x",
        "zeta/x",
    ]
    corpus_root.folder.put_whole("corpus.toml", b'sources = ["wiki", "web", "none"]\n')
    assert [key.source for key in corpus_root.partitions("documents")] == [
        "wiki",
        "web",
        "web",
        "books",
        "books",
        "zeta",
    ]
    assert corpus_root.partitions("duplicates") == []


def test_the_list_of_sources_is_read_or_refused(corpus_root: CorpusRoot) -> None:
    assert corpus_root.sources_in_order() == []
    corpus_root.folder.put_whole("corpus.toml", b"[defaults]\nseed = 1\n")
    assert corpus_root.sources_in_order() == []
    corpus_root.folder.put_whole("corpus.toml", b"sources = [1]")
    with pytest.raises(ConfigError, match=r"corpus.toml: sources must be a list of source names, got \[1\]"):
        corpus_root.sources_in_order()
    corpus_root.folder.put_whole("corpus.toml", b"sources = ")
    with pytest.raises(ConfigError, match=r"corpus.toml is not TOML"):
        corpus_root.sources_in_order()


@pytest.mark.parametrize(
    ("source", "partition", "named"),
    [
        ("", "p", "source name ''"),
        ("../up", "p", "source name '../up'"),
        ("web", "a//b", "partition name ''"),
        ("web", "a/../b", "partition name '..'"),
        ("web", "a b", "partition name 'a b'"),
        ("web", "ä", "partition name 'ä'"),
        ("web", "a+b", "partition name 'a\\+b'"),
    ],
)
def test_names_that_cannot_be_folders_are_refused(source: str, partition: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"{named} cannot be a folder name; use letters, digits"):
        PartitionKey(source, partition).checked()


def test_folders_of_one_partition(tmp_path: Path) -> None:
    root, key = CorpusRoot(str(tmp_path)), PartitionKey("web", "CC/00012").checked()
    assert root.partition_folder("tokens/bpe/train", key).url == f"{tmp_path}/tokens/bpe/train/web/CC/00012"
    # The work of one partition never lies inside that of another, such as `CC`.
    assert root.work_folder("clean", key).url == f"{tmp_path}/.work/clean/web/CC+00012"
    assert root.tokenizer_folder("bpe").url == f"{tmp_path}/tokenizers/bpe"
    assert root.mixture_folder().url == f"{tmp_path}/mixtures"
