"""From flags to a request; and the registry behind it."""

from __future__ import annotations

import importlib

import pytest

from flows.registry import STAGES, stage_entry
from flows.stage_request import build_request, check_inputs, reachable, require_writable, stage_config
from schemas.configs.base import STAGES as TABLES
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError, OutputError


@pytest.mark.parametrize("name", list(STAGES))
def test_every_stage_has_settings_of_its_name_a_run_and_a_pending(name: str):
    entry = stage_entry(name)
    assert entry.config_class().stage == name
    assert name in TABLES
    module = importlib.import_module(entry.module)
    assert callable(module.run)
    assert callable(module.pending)
    assert isinstance(module.STAGE_VERSION, int)


def test_flags_become_a_request(tmp_path):
    request = build_request(
        "tokenizer",
        str(tmp_path),
        source="web",
        partition="7",
        workers=3,
        overrides=["vocabulary_size=300"],
        seed=5,
    )
    assert (request.root.url, request.source, request.partition) == (str(tmp_path), "web", "7")
    assert (request.engine.runner, request.engine.workers) == ("local", 3)
    assert (request.config.vocabulary_size, request.config.seed) == (300, 5)


def test_a_seed_is_taken_by_stages_that_draw_nothing():
    assert "seed" not in stage_entry("tokenize").config_class().model_fields
    assert stage_config("tokenize", seed=7) == stage_config("tokenize")


def test_seed_urls_are_for_the_crawl():
    assert stage_config("crawl", seed_urls=["http://a.example/"]).seed_urls == ("http://a.example/",)
    with pytest.raises(ConfigError, match="--seed-url is for crawl only, and the stage is mix; leave it out"):
        stage_config("mix", seed_urls=["http://a.example/"])
    with pytest.raises(ConfigError, match=r"crawl\.seed_urls: there is nothing to start from"):
        stage_config("crawl")


def test_local_inputs_must_be_there(tmp_path):
    (tmp_path / "a.warc").write_bytes(b"")
    check_inputs([str(tmp_path / "a.warc"), str(tmp_path), "s3://bucket/key", str(tmp_path / "*.gz")])
    with pytest.raises(InputError, match=r"no file or folder .*b\.warc; give --input something that exists"):
        check_inputs([str(tmp_path / "b.warc")])


def test_a_root_is_tried_before_the_work(tmp_path):
    require_writable(CorpusRoot(str(tmp_path / "new")))
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write to .*file/below"):
        require_writable(CorpusRoot(str(tmp_path / "file" / "below")))


def test_a_stage_whose_inputs_are_missing_is_not_done(tmp_path):
    assert not stage_entry("dedup").is_done(build_request("dedup", str(tmp_path)))


def test_workers_elsewhere_get_whole_paths(tmp_path, monkeypatch):
    """A worker of Flink has another working folder: it wrote what a relative root said into that one."""
    monkeypatch.chdir(tmp_path)
    names = {"source": "a", "partition": "p", "workers": 1}
    assert build_request("clean", "corpus", runner="flink", **names).root.url == str(tmp_path / "corpus")
    assert build_request("clean", "corpus", **names).root.url == "corpus"
    assert reachable("s3://mill/corpus", "flink") == "s3://mill/corpus"
