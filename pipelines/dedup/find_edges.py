"""The Beam job that finds the verified pairs of one partition with itself and all before it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from pipelines.dedup.edge_job import EdgeJob
from pipelines.dedup.find_candidates import FindCandidates
from pipelines.dedup.verify_candidates import VerifyCandidates
from pipelines.engine.runner import run_pipeline
from pipelines.engine.settings import Engine

__all__ = ["run_find_edges"]


def run_find_edges(job: EdgeJob, engine: Engine) -> dict[str, int]:
    """Find the edges of a partition and leave them staged below the job's folder.

    Args:
        job: what to work on.
        engine: where to run.

    Returns:
        Counts: `candidate_pairs` and `pairs_not_compared`.
    """

    def build(pipeline: beam.Pipeline) -> Any:
        listed = pipeline | "List" >> beam.Create(job.groups(), reshuffle=False) | "Spread" >> beam.Reshuffle()
        candidates = listed | "Candidates" >> FindCandidates(job, job.documents_that_meet())
        return candidates | "Verify" >> VerifyCandidates(job)

    job.write_filter()
    run_pipeline(build, engine, "dedup-edges", job.folder)
    tallies = job.tallies()
    return {name: tallies[name] for name in ("candidate_pairs", "pairs_not_compared")}
