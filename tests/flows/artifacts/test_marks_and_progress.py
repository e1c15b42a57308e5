"""Keys and tags that stay the same for the same thing, and shares told by lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.artifacts.marks import partition_tag, run_tag, stage_tag
from flows.artifacts.progress import log_steps, share_done, show_progress
from flows.artifacts.publish import (
    add_tags,
    artifact_key,
    publish_markdown,
    publish_table,
    tell_event,
)
from flows.artifacts.report_link import report_markdown
from schemas.configs.flows import PretrainParameters


def test_keys_are_what_prefect_takes():
    assert artifact_key("funnel", "web", "CC-MAIN-2026-30/00012") == "funnel-web-cc-main-2026-30-00012"
    assert re.fullmatch(r"[a-z0-9-]+", artifact_key("report", "/Über my_corpus/"))


def test_tags():
    assert stage_tag("clean") == "stage:clean"
    assert partition_tag("web", "2026/07") == "partition:web/2026/07"


def test_runs_of_the_same_thing_have_the_same_tag(tmp_path: Path):
    settings = tmp_path / "a.toml"
    settings.write_text("[train]\nsteps = 3\n")

    def tag(**about) -> str:
        parameters = PretrainParameters(**{"root": "r", "mixture": "m", "config": str(settings), **about})
        return run_tag(parameters, parameters.config)

    first = tag()
    assert re.fullmatch(r"run:[0-9a-f]{12}", first)
    (tmp_path / "b.toml").write_text("[train]\nsteps = 3\n")
    assert tag(config=str(tmp_path / "b.toml")) == first
    assert tag(mixture="other") != first
    settings.write_text("[train]\nsteps = 4\n")
    assert tag() != first


@pytest.mark.parametrize(
    ("line", "share"),
    [
        ("step 120/320  loss 3.21  eta 0:12", 0.375),
        ("[10/20] pages", 0.5),
        ("read 1,500 / 6,000 rows", 0.25),
        ("7/0", None),
        ("9/8 files", 1.0),
        ("starting workers", None),
    ],
)
def test_lines_that_say_how_far_a_step_is(line: str, share: float | None):
    assert share_done(line) == share


def test_outside_of_a_run_nothing_is_told():
    with show_progress("corpus-build", "web/7", ["clean"]), log_steps():
        add_tags("a")
        assert publish_markdown("k", "text", "said") is None
        assert publish_table("k", [{"a": 1}], "said") is None
        tell_event("corpusmill.brake", "corpusmill.partition.x", "x", {})


def test_a_report_is_a_link_where_a_browser_may_follow_it():
    assert "[https://a.example/r.html](https://a.example/r.html)" in report_markdown("c", "https://a.example/r.html")
    assert "`file:///data/report.html`" in report_markdown("c", "/data/report.html")
    assert "`s3://bucket/report.html`" in report_markdown("c", "s3://bucket/report.html")
