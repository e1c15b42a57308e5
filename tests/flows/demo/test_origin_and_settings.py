"""Which pages the demo takes, and under which settings."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from flows.demo.origin import origin_of
from flows.demo.pydoc_site import SITE_URL
from flows.demo.run import DemoOptions, run_demo
from flows.demo.settings import check_settings, demo_settings, write_settings
from schemas.configs.presets import PRESETS
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError, OutputError

URLS = (SITE_URL,)


def test_without_an_input_the_site_is_this_pythons_documentation():
    origin = origin_of(None)
    assert (origin.source, origin.seed_urls, origin.inputs) == ("pydoc", (SITE_URL,), ())
    assert origin.partition == sys.version.split()[0].rstrip("+")
    assert origin.default_root == "corpus/demo"
    assert origin_of("") == origin


def test_a_folder_is_read_and_names_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "My pages (old)").mkdir()
    monkeypatch.chdir(tmp_path)
    origin = origin_of("My pages (old)")
    assert origin.inputs == (str(tmp_path / "My pages (old)"),)
    assert (origin.source, origin.default_root) == ("My-pages-old", "corpus/My-pages-old")
    assert origin.seed_urls == ()


def test_a_url_is_crawled():
    origin = origin_of("https://docs.example.org/guide/")
    assert origin.seed_urls == ("https://docs.example.org/guide/",)
    assert (origin.source, origin.partition) == ("docs.example.org", "crawl")


def test_an_input_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no file or folder /nowhere"):
        origin_of("/nowhere")


def test_the_demos_own_settings_are_valid_and_agree_about_what_is_held_out():
    settings = demo_settings()
    check_settings(settings, URLS)
    shares = [
        (settings[stage]["test"], settings[stage]["validation"]) for stage in ("tokenizer", "tokenize", "heldout")
    ]
    assert len(set(shares)) == 1
    preset = PRESETS[settings["train"]["preset"]]
    assert settings["mix"]["sequence_length"] == preset["model"]["context"]
    assert settings["mix"]["samples"] == preset["steps"] * preset["batch"]


def test_a_file_and_then_single_settings_win(tmp_path: Path, corpus_root: CorpusRoot):
    (tmp_path / "mine.toml").write_text("[crawl]\nmax_pages = 7\n[train]\nsteps = 9\n")
    settings = demo_settings(str(tmp_path / "mine.toml"), ["train.steps=11", "train.model.layers=2"])
    assert settings["crawl"]["max_pages"] == 7
    assert settings["train"] == {"preset": "demo", "steps": 11, "model": {"layers": 2}}
    written = write_settings(corpus_root, settings)
    assert tomllib.loads(Path(written).read_text()) == settings


@pytest.mark.parametrize(
    ("override", "wrong"),
    [
        ("train.steps=-1", "train.steps: .*greater than or equal to 1, got -1"),
        ("crawl.pages=3", "crawl.pages: unknown key; "),
        ("trian.steps=3", "trian: unknown stage; the demo takes stage.key=value with one of crawl, clean"),
        ("steps=3", "steps: unknown stage"),
        ("finetune.epochs=0", "finetune.epochs: .*greater than 0"),
    ],
)
def test_a_wrong_setting_is_named(override: str, wrong: str):
    with pytest.raises(ConfigError, match=wrong):
        check_settings(demo_settings(None, [override]), URLS)


def test_files_that_are_no_settings_are_named(tmp_path: Path):
    (tmp_path / "broken.toml").write_text("[crawl")
    with pytest.raises(ConfigError, match=r"config .*broken.toml is not TOML: "):
        demo_settings(str(tmp_path / "broken.toml"))
    with pytest.raises(InputError, match=r"cannot read config .*gone.toml: No such file"):
        demo_settings(str(tmp_path / "gone.toml"))


def test_the_corpus_lies_on_this_machine():
    with pytest.raises(OutputError, match="--root s3://bucket/demo: the demo keeps its corpus on this machine"):
        run_demo(DemoOptions(root="s3://bucket/demo"))
