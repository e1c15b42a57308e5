from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.tokens import tokenize_stage
from pipelines.tokens.mix_stage import pending
from schemas.catalog import manifest_of
from schemas.configs.base import load_config
from schemas.configs.mix import MixConfig
from schemas.configs.tokenize import TokenizeConfig
from schemas.corpus_root import PartitionKey
from schemas.errors import ConfigError, InputError, ShardError, StageError, TooLittleTextError
from schemas.mixture import read_mixture
from training.data.order import SampleOrder
from training.data.shards import open_streams

TEXTS = [f"The page number {n} of the book speaks of {n * 7919} things." for n in range(40)]
SHARES = {"test": 0.1, "validation": 0.1, "shard_tokens": 100}


@pytest.fixture
def mixed(chain: Any, corpus_writer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two sources of tokens, one of two partitions; `wiki` comes first by `corpus.toml`."""
    made = tmp_path_factory.getbasetemp() / "tokens-of-two-sources"
    if not made.exists():
        made.mkdir()
        (made / "corpus.toml").write_text('sources = ["wiki"]\n')
        root = type(chain.root)(str(made))
        writer, first = type(corpus_writer)(root), type(chain)(root)
        writer.documents("part-10", TEXTS[:10])
        writer.documents("part-9", TEXTS[10:30])
        writer.documents("x", TEXTS[30:], source="wiki")
        first.tokenizer()
        first.tokenize(**SHARES)
    shutil.copytree(made, chain.root.url)
    return chain


def plan_of(chain: Any, result: Any) -> Any:
    return read_mixture(chain.root.mixture_folder(), result.outcomes[0].key.partition)


def test_a_plan_without_weights_is_one_epoch_of_every_source(mixed: Any) -> None:
    result = mixed.mix(seed=5)
    plan = plan_of(mixed, result)
    assert plan.name == f"mix-{plan.digest()[:8]}"
    assert (plan.tokenizer, plan.vocabulary_size, plan.end_of_text, plan.seed) == ("bpe", 307, 306, 5)
    assert [stream.source for stream in plan.train] == ["wiki", "web"]
    (phase,) = plan.phases
    for stream, share in zip(plan.train, phase.shares, strict=True):
        assert (share.source, share.samples, share.epochs) == (stream.source, stream.windows(16), 1.0)
    assert phase.samples == plan.samples == sum(stream.windows(16) for stream in plan.train)
    table = result.outcomes[0].manifest.notes["epochs"]
    assert [(row["source"], row["epochs"]) for row in table] == [("wiki", 1.0), ("web", 1.0)]
    counts = result.outcomes[0].manifest.counts
    assert counts["samples"] == phase.samples
    for split in ("train", "validation", "test"):
        # The label of a last window is no input; of each source at most T tokens are none.
        assert counts[f"tail_tokens_{split}"] == counts[f"tokens_{split}"] - 16 * counts[f"windows_{split}"]
        assert all(0 <= stream.tail(16) <= 16 for stream in getattr(plan, split))
    assert sum(stream.tail(16) == 0 for stream in plan.train) == 0


def test_a_plan_pins_the_shards_of_all_splits_in_partition_order(mixed: Any) -> None:
    plan = plan_of(mixed, mixed.mix())
    web = plan.train[1]
    partitions = [path.split("/")[4] for path in dict.fromkeys(shard.path for shard in web.shards)]
    assert partitions == sorted(partitions, key=["part-9", "part-10"].index)
    assert set(partitions) == {"part-9", "part-10"}
    for split in ("train", "validation", "test"):
        for stream in getattr(plan, split):
            keys = [key for key in mixed.root.partitions("tokens/bpe/train") if key.source == stream.source]
            tokens = np.concatenate([mixed.stream(key, split) for key in keys])
            counts = [manifest_of(mixed.root, "tokens/bpe/train", key).counts for key in keys]
            assert stream.tokens == len(tokens) == sum(shard.tokens for shard in stream.shards)
            assert stream.documents == sum(one[f"documents_{split}"] for one in counts)
            assert stream.utf8_bytes == sum(one[f"utf8_bytes_{split}"] for one in counts)
    assert all((Path(mixed.root.url) / shard.path).is_file() for shard in web.shards)
    assert sum(stream.tokens for stream in plan.test) > 0


def test_training_reads_what_the_plan_pins(mixed: Any) -> None:
    plan = plan_of(mixed, mixed.mix())
    for split in ("train", "validation", "test"):
        for stream in open_streams(mixed.root, plan, split, verify=True):
            keys = [key for key in mixed.root.partitions("tokens/bpe/train") if key.source == stream.source]
            tokens = np.concatenate([mixed.stream(key, split) for key in keys])
            assert stream.windows == max(0, (len(tokens) - 1) // 16)
            out = np.empty(17, dtype=np.int64)
            for window in range(stream.windows):
                stream.read_window(window, out)
                assert np.array_equal(out, tokens[window * 16 : window * 16 + 17])


def test_weights_are_normalized_and_samples_are_exact(mixed: Any) -> None:
    plan = plan_of(mixed, mixed.mix(weights={"web": 60, "wiki": 22}, samples=1001))
    shares = {share.source: share for share in plan.phases[0].shares}
    assert (shares["web"].samples, shares["wiki"].samples) == (732, 269)  # 732.44 and 268.56
    assert shares["web"].weight == pytest.approx(60 / 82)
    assert shares["wiki"].epochs == 269 / plan.train[0].windows(16)
    alone = plan_of(mixed, mixed.mix(weights={"wiki": 1}))
    assert [share.samples for share in alone.phases[0].shares] == [alone.samples, 0]


def test_a_plan_never_changes_under_its_name(mixed: Any, corpus_writer: Any) -> None:
    assert mixed.mix(name="mine").outcomes[0].status == "done"
    assert pending(mixed.request(MixConfig(name="mine", sequence_length=16))) == 0
    (again,) = mixed.mix(name="mine").outcomes
    assert (again.status, again.reason, again.key.partition) == ("skipped", "the same plan", "mine")
    with pytest.raises(
        ConfigError, match=r"mixture 'mine' is there with other content, and a plan never changes; give"
    ):
        mixed.mix(name="mine", seed=1)
    with pytest.raises(ConfigError, match=r"mixture 'mine' is there with other content"):
        pending(mixed.request(MixConfig(name="mine", sequence_length=8)))


def test_a_plan_without_a_name_follows_the_tokens(mixed: Any, corpus_writer: Any) -> None:
    first = plan_of(mixed, mixed.mix())
    assert mixed.mix().outcomes[0].status == "skipped"
    assert plan_of(mixed, mixed.mix(name="named")).digest() == first.digest()
    corpus_writer.documents("y", ["a new page of the book, and what it says of things"], source="wiki")
    mixed.tokenize(**SHARES)
    assert pending(mixed.request(MixConfig(sequence_length=16))) == 1
    second = plan_of(mixed, mixed.mix())
    assert second.name != first.name
    assert second.train[0].shards[: len(first.train[0].shards)] == first.train[0].shards  # a partition only appends
    assert read_mixture(mixed.root.mixture_folder(), first.name) == first


def test_what_does_not_fit_is_named(mixed: Any, corpus_writer: Any) -> None:
    with pytest.raises(ConfigError, match=r"mix.weights names books; sources with tokens are wiki, web"):
        mixed.mix(weights={"web": 1, "books": 1})
    with pytest.raises(ConfigError, match=r"mix.weights gives wiki a share, but its tokens fill no window of 150;"):
        mixed.mix(weights={"wiki": 1}, sequence_length=150)
    with pytest.raises(TooLittleTextError, match=r"\d+ training tokens give no window of 5000 tokens and one further"):
        mixed.mix(sequence_length=5000)
    assert pending(mixed.request(MixConfig(sequence_length=5000))) == 1
    corpus_writer.documents("y", TEXTS[3:6], source="wiki")
    tokenize_stage.run(mixed.request(TokenizeConfig(test=0.3), source="wiki", partition="y"))
    with pytest.raises(StageError, match=r"wiki/x was tokenized with test, validation = \(0.1, 0.1\) and wiki/y with"):
        mixed.mix()


def test_missing_tokens_and_damaged_shards_are_named(mixed: Any) -> None:
    with pytest.raises(InputError, match=r"no tokenizer 'other' in"):
        mixed.mix(tokenizer="other")
    with pytest.raises(InputError, match=r"no tokens/bpe/train of nowhere in .*; run the stage that writes"):
        pending(mixed.request(MixConfig(), source="nowhere"))
    key = mixed.root.partitions("tokens/bpe/train")[0]
    first, second, *_ = sorted(mixed.folder(key).glob("shard-*.arrow"))
    content = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(ShardError, match=r"shard-00001.arrow does not fit its manifest and tokenizer; remove the man"):
        mixed.mix()
    second.write_bytes(content[:50])
    with pytest.raises(ShardError, match=r"shard-00001.arrow is missing or damaged: .*; remove its manifest and run"):
        mixed.mix()
    second.unlink()
    with pytest.raises(ShardError, match=r"shard-00001.arrow is missing or damaged"):
        mixed.mix()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("weights={web = -1}", r"mix.weights.web: Input should be greater than or equal to 0, got -1"),
        ("weights={web = 0}", "mix.weights: all weights are 0; give at least one source a positive weight"),
        ("sequence_length=0", "mix.sequence_length: Input should be greater than or equal to 1, got 0"),
        ("samples=-5", "mix.samples: Input should be greater than or equal to 1, got -5"),
    ],
)
def test_wrong_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(MixConfig, None, [override])


def test_the_weights_of_gpt3_are_normalized_and_its_epochs_stand_beside(mixed: Any) -> None:
    sources = {"common_crawl": "web", "wikipedia": "wiki"}
    result = mixed.mix(preset="gpt3", preset_sources=sources, tokens=16 * 1000 + 5)
    plan = plan_of(mixed, result)
    shares = {share.source: share for share in plan.phases[0].shares}
    # 60 and 3 of 63, of 1,000 windows: 952.38 and 47.62.
    assert (shares["web"].samples, shares["wiki"].samples, plan.samples) == (952, 48, 1000)
    notes = result.outcomes[0].manifest.notes["published"]
    assert notes["disagreeing"] == ["webtext2"]
    rows = {row["row"]: row for row in notes["rows"]}
    assert [row["weight_percent"] for row in notes["rows"]] == [60, 22, 8, 8, 3]  # 101 together
    assert sum(row["weight"] for row in notes["rows"]) == pytest.approx(1, abs=1e-5)
    assert {name: row["epochs"] for name, row in rows.items()} == {
        "common_crawl": 0.44,
        "webtext2": 2.9,
        "books1": 1.9,
        "books2": 0.43,
        "wikipedia": 3.4,
    }
    follow = {name: row["epochs_that_follow"] for name, row in rows.items()}
    assert follow == {"common_crawl": 0.435, "webtext2": 3.439, "books1": 1.98, "books2": 0.432, "wikipedia": 2.97}
    assert rows["common_crawl"]["source"] == "web"


def test_copies_count_as_often_as_they_were_found_up_to_a_bound(mixed: Any, corpus_writer: Any) -> None:
    key = PartitionKey("web", "part-9")
    index = mixed.index(key)
    kept, length = index.column("document_id")[0].as_py(), index.column("length")[0].as_py()
    (row,) = corpus_writer.rows("clusters", 1)
    rows = [{**row, "kept_id": kept, "kept_source": "web", "kept_partition": "part-9", "copies": 4}]
    corpus_writer.tables(PartitionKey("web", "part-10"), {"duplicates": [], "clusters": rows})
    plain = plan_of(mixed, mixed.mix(samples=100_000))
    tokens = {stream.source: stream.tokens for stream in plain.train}
    windows = {stream.source: stream.windows(16) for stream in plain.train}
    for bound, times in ((1, 1), (3, 3), (100, 5)):
        plan = plan_of(mixed, mixed.mix(max_copies=bound, samples=100_000))
        shares = {share.source: share.samples for share in plan.phases[0].shares}
        web = windows["web"] * (tokens["web"] + (times - 1) * length) / tokens["web"]
        assert shares["web"] == pytest.approx(100_000 * web / (web + windows["wiki"]), abs=1)


def test_a_plan_goes_on_from_another_with_what_came_since(mixed: Any, corpus_writer: Any) -> None:
    old = plan_of(mixed, mixed.mix(name="first", weights={"web": 3, "wiki": 1}, samples=40))
    corpus_writer.documents("part-11", [text.upper() for text in TEXTS])
    corpus_writer.documents("y", TEXTS[:20], source="zoo")
    mixed.tokenize(**SHARES)
    new = plan_of(mixed, mixed.mix(name="second", extends="first", after=24))
    assert new.extends is not None
    assert (new.extends.name, new.extends.digest, new.extends.samples) == ("first", old.digest(), 24)
    assert [phase.samples for phase in new.phases][:1] == [24]
    before, whole = SampleOrder(old, 1).locate(0, 24), SampleOrder(new, 1).locate(0, new.samples)
    assert np.array_equal(before.windows, whole.windows[:24])
    assert [stream.source for stream in new.train] == ["wiki", "web", "zoo"]
    # What remains is all there is less what was seen: afterwards every window of every source was seen once.
    for number, stream in enumerate(new.train):
        seen = whole.windows[whole.sources == number].tolist()
        assert sorted(seen) == list(range(stream.windows(16)))
    assert new.phases[1].samples == sum(stream.windows(16) for stream in new.train) - 24
    third = plan_of(mixed, mixed.mix(name="third", extends="second", weights={"web": 1}, samples=10))
    assert [phase.samples for phase in third.phases] == [24, new.phases[1].samples, 10]
    with pytest.raises(ConfigError, match="all windows of mixture second were seen and none came since; give samples"):
        mixed.mix(name="fourth", extends="second")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"after": 41}, "mix.after is 41, and mixture first has 40 samples; give at most that"),
        ({"sequence_length": 8}, "mixture first has sequence_length 16, not 8; a plan goes on with its own"),
        ({"seed": 9}, "mixture first has seed 0, not 9"),
    ],
)
def test_a_plan_goes_on_only_as_what_it_was(mixed: Any, settings: dict[str, Any], message: str) -> None:
    mixed.mix(name="first", samples=40)
    with pytest.raises(ConfigError, match=message):
        mixed.mix(extends="first", **settings)


def test_a_source_whose_shards_were_made_anew_cannot_go_on(mixed: Any, corpus_writer: Any) -> None:
    mixed.mix(name="first", samples=40)
    corpus_writer.documents("part-1", TEXTS[:10])  # comes before the others in partition order
    mixed.tokenize(**SHARES)
    with pytest.raises(ConfigError, match=r"mix.extends: the shards of web are not those of mixture first with later"):
        mixed.mix(name="second", extends="first")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": {"a": 1}, "preset": "gpt3"}, "weights, preset and max_copies all say how much of each source"),
        ({"samples": 5, "tokens": 5}, "samples and tokens both say how long training is; give one of them"),
        ({"tokens": 5}, "tokens 5 hold no window of 2048; give more"),
        ({"after": 5}, "after is a place in the plan that extends names; give both"),
        ({"preset": "gpt3", "preset_sources": {"pile": "a"}}, "preset_sources names pile; rows of gpt3 are books1"),
        ({"preset_sources": {"books1": "a"}}, "preset_sources names books1; give a preset too"),
    ],
)
def test_settings_of_a_mixture_that_do_not_go_together_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(MixConfig, **settings)


def test_a_preset_needs_sources_that_are_there(mixed: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"no source is called common_crawl, .*; sources with tokens are wiki, web: say"
    ):
        mixed.mix(preset="gpt3")
    with pytest.raises(ConfigError, match=r"mix.preset_sources names elsewhere; sources with tokens are wiki, web"):
        mixed.mix(preset="gpt3", preset_sources={"books1": "elsewhere", "wikipedia": "wiki"})
