"""What is refused before Dataflow has seen it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as runner_api

from pipelines.engine.dataflow import graph as graph_module
from pipelines.engine.dataflow import settings as settings_module
from pipelines.engine.dataflow.graph import build_graph, check_graph
from pipelines.engine.dataflow.service import require_credentials
from pipelines.engine.dataflow.settings import read_settings, require_client
from schemas.configs.base import load_config
from schemas.configs.dataflow import DataflowConfig
from schemas.errors import ConfigError, StageError

IMAGE = "registry.example/corpusmill/worker:1"
SETTINGS = DataflowConfig(project="test-project", region="europe-west4", temp_location="gs://bucket/tmp", image=IMAGE)


def grouped(pairs: list[Any], kind: Any) -> Callable[[beam.Pipeline], Any]:
    def build(pipeline: beam.Pipeline) -> Any:
        typed = pipeline | "List" >> beam.Create(pairs) | "Type" >> beam.Map(lambda one: one).with_output_types(kind)
        return typed | "Group" >> beam.GroupByKey()

    return build


@pytest.mark.parametrize("kind", [tuple[int, str], tuple[str, str], tuple[bytes, str]])
def test_a_graph_keeps_our_names_and_runs_in_our_image_alone(kind: Any) -> None:
    graph = build_graph(grouped([], kind), SETTINGS, 3, "corpusmill-x")
    assert graph.shuffles[-1] == "Group"
    assert 0 < graph.bytes < 100_000
    assert graph.options.get_all_options()["max_num_workers"] == 3
    (environment,) = graph.job.proto_pipeline.components.environments.values()
    assert runner_api.DockerPayload.FromString(environment.payload).container_image == IMAGE


def test_keys_that_are_pickled_are_refused() -> None:
    with pytest.raises(StageError, match=r"x: Group groups by keys of coder beam:coder:\w+:v1; keys are bytes or int"):
        build_graph(grouped([], tuple[Any, str]), SETTINGS, 1, "x")


def test_a_graph_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert graph_module._MOST_BYTES == 10_000_000
    monkeypatch.setattr(graph_module, "_MOST_BYTES", 100_000)  # to build one of ten million bytes takes seconds
    with pytest.raises(ConfigError, match=r"the graph of x has \d\d\d,\d+ bytes, and Dataflow takes 100,000; give"):
        build_graph(lambda pipeline: pipeline | beam.Create([Random(1).randbytes(120_000)]), SETTINGS, 1, "x")


def test_what_runs_outside_the_image_wants_files_or_never_ends_is_refused() -> None:
    def changed(change: Callable[[runner_api.Pipeline], Any]) -> runner_api.Pipeline:
        graph = build_graph(grouped([], tuple[int, str]), SETTINGS, 1, "x").job.proto_pipeline
        change(graph)
        return graph

    def environment(graph: runner_api.Pipeline) -> runner_api.Environment:
        return next(iter(graph.components.environments.values()))

    def unbounded(graph: runner_api.Pipeline) -> None:
        next(iter(graph.components.pcollections.values())).is_bounded = runner_api.IsBounded.UNBOUNDED

    process = common_urns.environments.PROCESS.urn
    other = changed(lambda graph: setattr(environment(graph), "urn", process))
    with pytest.raises(StageError, match=rf"x: a step runs in {process} {IMAGE}, and all should in {IMAGE}"):
        check_graph(other, "x", IMAGE)
    staged = changed(lambda graph: environment(graph).dependencies.add())
    with pytest.raises(StageError, match=r"x wants 1 files staged; the image has to hold all"):
        check_graph(staged, "x", IMAGE)
    with pytest.raises(StageError, match=r"x: .* is unbounded, which makes a streaming job of it"):
        check_graph(changed(unbounded), "x", IMAGE)


def test_options_that_beam_refuses_are_named() -> None:
    with pytest.raises(ConfigError, match=r"Dataflow's options: .*[Jj]ob_?name"):
        build_graph(grouped([], tuple[int, str]), SETTINGS, 1, "Not a job name")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temp_location": "/tmp/x"}, r"temp_location has to be gs://bucket/folder, got '/tmp/x'"),
        ({"image": "worker"}, r"dataflow\.image: String should match pattern"),
        ({"region": "Europe"}, r"dataflow\.region: String should match pattern"),
    ],
)
def test_settings_are_checked(values: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(DataflowConfig, None, [], **{**SETTINGS.model_dump(), **values})


def test_a_machine_without_dataflow_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(ConfigError, match=r"no Google credentials on this machine; run `gcloud auth application-d"):
        require_credentials()
    for missing in (None, ModuleNotFoundError("google")):

        def find_spec(_name: str, missing: Any = missing) -> None:
            if missing is not None:
                raise missing

        monkeypatch.setattr(settings_module, "find_spec", find_spec)
        with pytest.raises(ConfigError, match=r"Dataflow's client is not installed; it comes with pip install 'corp"):
            require_client()
        with pytest.raises(ConfigError, match=r"Dataflow's client is not installed"):
            read_settings()
