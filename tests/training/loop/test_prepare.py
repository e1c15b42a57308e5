from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError, ManifestError
from schemas.run import read_run, require_run
from training.loop.prepare import PreparedRun, prepare_run

Prepare = Callable[..., PreparedRun]
SHAPE = {"context": 32, "layers": 2, "heads": 2, "width": 32, "band": 8}


def test_the_run_describes_itself(prepared: Prepare, run_folder: str, corpus_root: CorpusRoot) -> None:
    run = prepared(seed=5)
    stored = require_run(run_folder)
    assert stored == run.description
    assert (stored.root, stored.mixture, stored.seed) == (corpus_root.url, "main", 5)
    assert stored.plan_digest == run.plan.digest()
    assert stored.model.vocabulary_size == 320
    assert stored.settings["steps"] == 10
    assert (Path(run_folder) / "tokenizer.json").is_file()


def test_without_steps_a_run_takes_all_whole_batches(prepared: Prepare) -> None:
    run = prepared(steps=None, batch=48)
    assert (run.steps, run.total_tokens) == (8, 8 * 48 * 32)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {**SHAPE, "context": 64}}, "train.model.context is 64, and mixture main is cut in windows of 32"),
        ({"batch": 401}, "train.batch is 401 windows, and mixture main has 400 in all; lower batch"),
        ({"steps": 51}, "train.steps is 51, and mixture main has samples for 50; set steps=50 or less"),
        ({"warmup_tokens": 2560}, "warmup_tokens is 2560, and the whole run has 2560 tokens; set .* for example 128"),
    ],
)
def test_settings_that_do_not_fit_the_mixture_are_refused(prepared: Prepare, settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prepared(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.02}, "run: learning_rate was 0.01 when this run began and is 0.02 now; give the old"),
        ({"model": {**SHAPE, "layers": 3}}, "run: model.layers was 2 when this run began and is 3 now"),
        ({"seed": 1}, "run: seed was 0 when this run began and is 1 now"),
        ({"steps": 11}, "run: steps was 10 when this run began and is 11 now"),
    ],
)
def test_going_on_with_other_settings_is_refused(prepared: Prepare, settings, message: str) -> None:
    prepared()
    with pytest.raises(ConfigError, match=message):
        prepared(**settings)


def test_going_on_with_another_mixture_is_refused_and_a_moved_corpus_is_not(
    prepared: Prepare, make_corpus, run_folder: str, corpus_root: CorpusRoot
) -> None:
    run = prepared()
    moved = Path(corpus_root.url).rename(Path(corpus_root.url).with_name("moved"))
    prepare_run(run.config, str(moved), "main", run_folder)
    moved.rename(corpus_root.url)
    make_corpus(samples={"books": 200, "web": 200})
    with pytest.raises(ConfigError, match=r"plan_digest was '.*' when this run began"):
        prepare_run(run.config, corpus_root.url, "main", run_folder)


def test_settings_that_change_no_weights_may_differ(prepared: Prepare) -> None:
    prepared()
    prepared(micro_batch=2, validation_every=1, checkpoint_every=7, keep_checkpoints=5, progress_seconds=1.0)


def test_missing_inputs_are_named(prepared: Prepare, corpus_root: CorpusRoot, run_folder: str) -> None:
    run = prepared()
    with pytest.raises(InputError, match="no corpus in /nowhere; give --root a folder"):
        prepare_run(run.config, "/nowhere", "main", run_folder)
    with pytest.raises(InputError, match=r"no mixture 'other' in .* \(there: main\)"):
        prepare_run(run.config, corpus_root.url, "other", run_folder)
    content = corpus_root.tokenizer_folder("tiny").read("tokenizer.json")
    corpus_root.tokenizer_folder("tiny").put_whole("tokenizer.json", content + b" ")
    with pytest.raises(InputError, match=r"tiny/tokenizer\.json is not the one that mixture main was planned with; "):
        prepare_run(run.config, corpus_root.url, "main", run_folder)
    corpus_root.tokenizer_folder("tiny").remove("tokenizer.json")
    with pytest.raises(InputError, match=r"no tokenizer\.json in .*tiny; run `corpusmill run tokenizer` first"):
        prepare_run(run.config, corpus_root.url, "main", run_folder)


def test_a_run_on_an_object_store_is_refused(prepared: Prepare, corpus_root: CorpusRoot) -> None:
    run = prepared()
    with pytest.raises(ConfigError, match="--run s3://bucket/run: a run lies on a local file system"):
        prepare_run(run.config, corpus_root.url, "main", "s3://bucket/run")


def test_a_damaged_or_foreign_description_is_named(run_folder: str) -> None:
    assert read_run(run_folder) is None
    with pytest.raises(InputError, match=r"no training run in .*run \(it has no config\.json\)"):
        require_run(run_folder)
    folder = Path(run_folder)
    folder.mkdir()
    (folder / "config.json").write_text('{"schema_version": 9}')
    with pytest.raises(ManifestError, match=r"config\.json has version 9, this program reads 1"):
        read_run(run_folder)
    (folder / "config.json").write_text('{"schema_v')
    with pytest.raises(ManifestError, match=r"config\.json is damaged"):
        read_run(run_folder)
