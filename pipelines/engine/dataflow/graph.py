"""A pipeline as Dataflow would get it: options, environment and graph, built and checked without an account.

Everything up to the request itself is Beam's own code for Dataflow. What Dataflow refuses, or accepts and then does
badly, is refused here: a graph that is too large, steps that want files staged, keys that do not group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as runner_api
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

from schemas.configs.dataflow import DataflowConfig
from schemas.errors import ConfigError, StageError

__all__ = ["DataflowGraph", "build_graph", "check_graph", "dataflow_options"]

# Dataflow's limit for the description of a job, 10 MB (its page on quotas, "job graph size").
_MOST_BYTES = 10_000_000
_DETERMINISTIC = frozenset(
    urn.urn
    for urn in (
        common_urns.coders.BYTES,
        common_urns.coders.STRING_UTF8,
        common_urns.coders.VARINT,
        common_urns.coders.BOOL,
    )
)


def dataflow_options(settings: DataflowConfig, workers: int, job: str) -> PipelineOptions:
    """Options of a job on at most `workers` machines.

    Nothing is staged, because the image holds the code that submits. One bundle at a time in each process: Dataflow's
    default of twelve threads would multiply the memory of a worker by twelve and add no speed to Python.
    """
    flags = [
        "--runner=DataflowRunner",
        f"--job_name={job}",
        f"--project={settings.project}",
        f"--region={settings.region}",
        f"--temp_location={settings.temp_location}",
        f"--staging_location={settings.temp_location}",
        f"--dataflow_endpoint={settings.endpoint}",
        f"--sdk_container_image={settings.image}",
        "--sdk_location=container",
        "--experiments=use_runner_v2",
        "--experiments=disable_logging_submission_environment",
        f"--max_num_workers={workers}",
        "--autoscaling_algorithm=THROUGHPUT_BASED",
        "--number_of_worker_harness_threads=1",
        f"--machine_type={settings.machine_type}",
        f"--disk_size_gb={settings.disk_gb}",
        "--use_public_ips" if settings.public_ips else "--no_use_public_ips",
    ]
    flags += [f"--service_account_email={settings.service_account}"] if settings.service_account else []
    flags += [f"--subnetwork={settings.subnetwork}"] if settings.subnetwork else []
    flags += ["--no_auth"] if settings.is_emulator else []
    return PipelineOptions(flags)


@dataclass(frozen=True)
class DataflowGraph:
    """A job that Dataflow could be given; `job` is Beam's object, `shuffles` the steps that group by key."""

    name: str
    steps: tuple[str, ...]
    shuffles: tuple[str, ...]
    bytes: int
    options: PipelineOptions
    job: Any


def _key_coder(pipeline: runner_api.Pipeline, transform: runner_api.PTransform) -> str:
    coders = pipeline.components.coders
    (collection,) = transform.inputs.values()
    pair = coders[pipeline.components.pcollections[collection].coder_id]
    if pair.spec.urn != common_urns.coders.KV.urn:
        return str(pair.spec.urn)
    key = coders[pair.component_coder_ids[0]]
    while key.spec.urn == common_urns.coders.LENGTH_PREFIX.urn:
        key = coders[key.component_coder_ids[0]]
    return str(key.spec.urn)


def _leaves(pipeline: runner_api.Pipeline) -> Iterable[runner_api.PTransform]:
    return (one for one in pipeline.components.transforms.values() if one.spec.urn and not one.subtransforms)


def check_graph(pipeline: runner_api.Pipeline, name: str, image: str) -> tuple[str, ...]:
    """See that Dataflow takes a graph, and that its workers can run it; gives the steps that group by key.

    Args:
        pipeline: the graph.
        name: of the job.
        image: that all of its Python steps have to run in.

    Raises:
        ConfigError: the graph is larger than Dataflow takes.
        StageError: a step runs elsewhere than in the image, wants files staged, is unbounded, or groups by a key whose
            bytes may differ for equal keys.
    """
    for environment in pipeline.components.environments.values():
        found = runner_api.DockerPayload.FromString(environment.payload).container_image
        if environment.urn != common_urns.environments.DOCKER.urn or found != image:
            raise StageError(f"{name}: a step runs in {environment.urn} {found}, and all should in {image}")
        if environment.dependencies:
            raise StageError(f"{name} wants {len(environment.dependencies)} files staged; the image has to hold all")
    for collection in pipeline.components.pcollections.values():
        if collection.is_bounded != runner_api.IsBounded.BOUNDED:
            raise StageError(f"{name}: {collection.unique_name} is unbounded, which makes a streaming job of it")
    groups = [one for one in _leaves(pipeline) if one.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn]
    for transform in groups:
        coder = _key_coder(pipeline, transform)
        if coder not in _DETERMINISTIC:
            raise StageError(f"{name}: {transform.unique_name} groups by keys of coder {coder}; keys are bytes or int")
    size = pipeline.ByteSize()
    if size > _MOST_BYTES:
        raise ConfigError(
            f"the graph of {name} has {size:,} bytes, and Dataflow takes {_MOST_BYTES:,}; give the partition fewer "
            "input files, or share them out over more partitions"
        )
    return tuple(one.unique_name for one in groups)


def build_graph(
    build: Callable[[beam.Pipeline], Any], settings: DataflowConfig, workers: int, job: str
) -> DataflowGraph:
    """Build a pipeline for Dataflow and check it.

    Raises:
        ConfigError: Beam refuses an option, or the graph is too large.
        StageError: as `check_graph`.
    """
    options = dataflow_options(settings, workers, job)
    options.view_as(TestOptions).dry_run = True  # keeps Beam off the network
    runner = DataflowRunner()
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
    except ValueError as error:
        raise ConfigError(f"Dataflow's options: {' '.join(str(error).split())}") from error
    build(pipeline)
    made = runner.run_pipeline(pipeline, options).job
    options.view_as(TestOptions).dry_run = False
    proto = made.proto_pipeline
    shuffles = check_graph(proto, job, settings.image)
    steps = tuple(one.unique_name for one in _leaves(proto))
    return DataflowGraph(job, steps, shuffles, proto.ByteSize(), options, made)
