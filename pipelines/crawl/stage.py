"""The crawl stage: one partition of WARC files from seed URLs."""

from __future__ import annotations

from pipelines.crawl.progress import Progress
from pipelines.engine.stage import StageRequest, StageResult
from pipelines.engine.unit import Unit, UnitOutput, run_unit
from schemas.configs.crawl import CrawlConfig
from schemas.errors import OutputError
from schemas.storage import Folder

__all__ = ["STAGE_VERSION", "crawl_unit", "pending", "run"]

STAGE_VERSION = 2


def pending(request: StageRequest[CrawlConfig]) -> int:
    """Units that `run` would do now.

    Raises:
        InputError: source or partition is missing.
    """
    return 0 if crawl_unit(request).done() else 1


def run(request: StageRequest[CrawlConfig], on_progress: Progress | None = None) -> StageResult:
    """Crawl one partition, or go on where a killed crawl of the same settings stopped.

    Args:
        request: source, partition and settings.
        on_progress: called after each URL with (pages stored, limit, URL); by default, lines on standard error.

    Raises:
        InputError: no page could be stored, or source or partition is missing.
        OutputError: the corpus does not lie on a local disk.
        LeaseError: another live run crawls this partition.
    """
    unit = crawl_unit(request)
    key = unit.key
    if not request.root.folder.is_local:
        raise OutputError(
            f"crawl writes to a local disk only, got --root {request.root.url}; copy the corpus afterwards"
        )

    def work(folder: Folder) -> UnitOutput:
        # HTTP, HTML and WARC libraries take half a second to import: too long for asking whether a crawl is done.
        from pipelines.crawl.partition import crawl_partition

        return crawl_partition(request.config, key, folder, unit.folder(), on_progress)

    return StageResult(stage="crawl", outcomes=(run_unit(unit, request.engine, work, resumable=True),))


def crawl_unit(request: StageRequest[CrawlConfig]) -> Unit:
    """The unit of work that crawls the partition of the request.

    Raises:
        InputError: source or partition is missing.
    """
    return Unit(
        root=request.root,
        stage="crawl",
        version=STAGE_VERSION,
        key=request.key(),
        table="crawl",
        config=request.config,
        inputs=(),
    )
