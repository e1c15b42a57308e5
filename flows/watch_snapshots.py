"""The flow `watch-snapshots`: looks for new snapshots of Common Crawl, and builds what is missing of them."""

from __future__ import annotations

from dataclasses import asdict

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.artifacts.marks import run_tag
from flows.artifacts.publish import add_tags, artifact_key, publish_table
from flows.corpus_build import corpus_build
from flows.snapshots import SliceDecision, look_for_slices
from flows.steps import LOGGER
from schemas.configs.flows import CorpusBuildParameters, WatchSnapshotsParameters
from schemas.errors import CorpusmillError, StageError

__all__ = ["watch_snapshots"]

_SHARED = ("root", "config", "source", "evaluations", "small_corpus", "runner", "workers")


@task(name="look", task_run_name="look for snapshots", cache_policy=NO_CACHE)
def _look(parameters: WatchSnapshotsParameters) -> list[SliceDecision]:
    """Ask the index server, and show what is to be done; snapshots that are left alone are one row."""
    decisions = look_for_slices(parameters)
    alone = [one for one in decisions if one.decision == "left alone"]
    rows = [asdict(one) for one in decisions if one.decision != "left alone"]
    if alone:
        older = f"{alone[0].snapshot} to {alone[-1].snapshot}" if len(alone) > 1 else alone[0].snapshot
        rows.append(asdict(SliceDecision(older, "", "left alone", f"{alone[0].reason}: {len(alone)} snapshots")))
    missing = sum(one.decision == "build" for one in decisions)
    key = artifact_key("snapshots", parameters.source)
    publish_table(key, rows, f"{parameters.source} in {parameters.root}: {missing} partitions to build")
    return decisions


def _build(parameters: WatchSnapshotsParameters, partition: str) -> str:
    """Build one partition; gives why it failed, empty where it did not."""
    about = {name: getattr(parameters, name) for name in _SHARED}
    try:
        corpus_build(CorpusBuildParameters(**about, partition=partition, common_crawl=parameters.base_url))
    except CorpusmillError as error:
        LOGGER.warning("%s failed: %s", partition, error)
        return str(error)
    return ""


@flow(name="watch-snapshots", flow_run_name="watch-snapshots {parameters.source}")
def watch_snapshots(parameters: WatchSnapshotsParameters) -> list[str]:
    """Build what the corpus has not of each snapshot; gives the partitions that were built. What fails stops no other.

    Args:
        parameters: Which corpus is kept up to date, and how much is taken of each snapshot.
    """
    add_tags(run_tag(parameters, parameters.config))
    decisions = _look(parameters)
    wanted = [one.partition for one in decisions if one.decision == "build"]
    failures = {one.snapshot: one.reason for one in decisions if one.decision == "failed"}
    tried = len(wanted) + len(failures)
    failures |= {partition: said for partition in wanted if (said := _build(parameters, partition))}
    if failures:
        partition, said = next(iter(failures.items()))
        raise StageError(
            f"{len(failures)} of {tried} failed, the first {partition}: {said}. The next look tries them again"
        )
    return wanted
