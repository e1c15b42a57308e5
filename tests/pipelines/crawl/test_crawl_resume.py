"""A crawl that is killed goes on where it stopped and ends as if nothing had been."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.crawl import warc_files
from pipelines.engine.unit import UnitOutcome
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot
from schemas.storage import Folder

Crawl = Callable[..., UnitOutcome]


def _build(site: Any, pages: int = 24) -> None:
    site.robots("User-agent: *\nDisallow: /no\nSitemap: /map.xml\n")
    for number in range(pages):
        targets = [f"/{number * 3 + step}" for step in (1, 2, 3)]
        site.link(f"/{number or ''}", *targets, "/missing", "/no", f"/moved{number}", text="word " * (number % 7 * 50))
        site.redirect(f"/moved{number}", f"/{(number * 7) % pages or ''}")
    site.link("/map.xml")


class _Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("moment", range(0, 40, 6))
def test_killed_between_record_and_journal(
    site: Any, crawl_into: Crawl, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    _build(site, pages=12)
    config = site.config(warc_bytes=3000)
    undisturbed = crawl_into(config, partition="undisturbed").manifest
    left = moment
    append = warc_files.WarcFiles.append

    def dying(self: Any, *args: Any) -> Any:
        nonlocal left
        position = append(self, *args)
        left -= 1
        if left < 0:
            with (self._folder / warc_files.part_file(position.part)).open("ab") as stream:
                stream.write(b"\x1f\x8b\x08 half of the next member")
            raise _Killed
        return position

    with monkeypatch.context() as patch:
        patch.setattr(warc_files.WarcFiles, "append", dying)
        with contextlib.suppress(_Killed):  # a late moment never comes
            crawl_into(config)
    resumed = crawl_into(config).manifest
    assert resumed.digest() == undisturbed.digest()
    assert resumed.counts == undisturbed.counts


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_killed_while_committing(
    site: Any, crawl_into: Crawl, corpus_root: CorpusRoot, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    _build(site, pages=12)
    crawl_into(site.config(max_pages=5, warc_bytes=1))  # an older crawl of other settings lies there
    config = site.config(warc_bytes=3000)
    undisturbed = crawl_into(config, partition="undisturbed").manifest
    assert len(undisturbed.tables["crawl"].files) > 3
    move_in = Folder.move_in
    left = moves

    def dying(self: Folder, *args: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Killed
        move_in(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "move_in", dying)
        with pytest.raises(_Killed):
            crawl_into(config)
    asked = len(site.asked)
    resumed = crawl_into(config)
    assert len(site.asked) == asked  # nothing was left to ask for
    assert resumed.manifest.digest() == undisturbed.digest()
    folder = corpus_root.partition_folder("crawl", resumed.key)
    assert folder.names() == sorted([file.name for file in resumed.manifest.tables["crawl"].files] + [MANIFEST_NAME])
