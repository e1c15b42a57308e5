"""One partition crawled: what lies in its work folder brought to an end, and staged."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipelines.crawl.crawler import JOURNAL_NAME, crawl
from pipelines.crawl.progress import Progress, ProgressLine
from pipelines.crawl.state import CrawlState
from pipelines.crawl.warc_files import part_file
from pipelines.engine.staging import StagedFile, StagedTable
from pipelines.engine.unit import UnitOutput
from schemas.configs.crawl import CrawlConfig
from schemas.corpus_root import MANIFEST_NAME, PartitionKey
from schemas.errors import InputError
from schemas.row_hash import digest_of_hashes
from schemas.storage import Folder

__all__ = ["CapturedAnswers", "crawl_partition"]


@dataclass(frozen=True)
class CapturedAnswers(StagedTable):
    """The WARC files of a crawl; one row is one answer: URL, status, digest of the payload.

    Times of capture and headers are in no row, and where one file ends and the next begins does not matter: two
    crawls that were given the same pages have equal digests.
    """

    row_hashes: tuple[bytes, ...] = ()

    def digest(self) -> str:
        """Digest of the bag of rows of all files."""
        return digest_of_hashes(self.row_hashes)


def crawl_partition(
    config: CrawlConfig, key: PartitionKey, work: Folder, committed: Folder, on_progress: Progress | None
) -> UnitOutput:
    """Crawl, or go on with what an interrupted run left in `work`.

    Args:
        config: the settings.
        key: what is crawled, for the records and for the eye.
        work: a local folder for the journal and the WARC files.
        committed: where the files will lie in the end, or lie already if a run was killed while it committed.
        on_progress: see `pipelines.crawl.stage.run`.

    Raises:
        InputError: no page could be stored; `work` is removed, so that the next run asks again.
        StageError: what lies in `work` is damaged.
    """
    state = CrawlState(config)
    _bring_back(committed, work)
    progress = on_progress or ProgressLine(f"crawl {key}", state.counts)
    crawl(config, state, Path(work.path()), _about(config, key), progress)
    if not state.counts["pages"]:
        work.remove_tree()
        raise InputError(_why_nothing(config, state))
    counts = {**state.counts, "not_asked_for": len(state.frontier)}
    return UnitOutput(tables={"crawl": _staged(work, state)}, counts=counts, notes=state.notes())


def _bring_back(committed: Folder, work: Folder) -> None:
    """A run that was killed while it committed had moved files out of its work folder; its journal counts on them."""
    if committed.exists(MANIFEST_NAME):  # a commit takes the old manifest away first
        return
    here = set(work.names())
    for name in committed.names():
        if JOURNAL_NAME in here and name not in here:
            work.move_in(committed, name)


def _about(config: CrawlConfig, key: PartitionKey) -> dict[str, str]:
    return {
        "software": config.user_agent,
        "format": "WARC File Format 1.0",
        "isPartOf": str(key),
        "robots": "obey" if config.obey_robots else "ignore",
    }


def _why_nothing(config: CrawlConfig, state: CrawlState) -> str:
    seed = config.seed_urls[0]
    if state.counts["noindex"]:
        reason = "its pages say noindex"
    elif state.failures:
        failure = state.failures[0]
        reason = f"{failure['url']}: {failure['message'] or failure['error']}"
    elif state.counts["robots_denied"]:
        reason = "its robots.txt forbids it"
    else:
        reason = f"no answer of the content types {', '.join(config.content_types)}"
    return f"crawl of {seed} stored no page: {reason}; check the seed URLs"


def _staged(folder: Folder, state: CrawlState) -> CapturedAnswers:
    rows: defaultdict[int, list[bytes]] = defaultdict(list)
    for part, row in state.responses:
        rows[part].append(row)
    files = tuple(
        StagedFile(
            part_file(part), len(hashes), Path(folder.path(part_file(part))).stat().st_size, digest_of_hashes(hashes)
        )
        for part, hashes in sorted(rows.items())
    )
    return CapturedAnswers(folder, files, tuple(row for _, row in state.responses))
