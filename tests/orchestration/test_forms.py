"""The server refuses wrong values with the field's name, before a run exists."""

from __future__ import annotations

import pytest
from prefect_api import PrefectApi

pytestmark = pytest.mark.slow

GOOD = {"root": "corpus", "source": "web", "partition": "2026-07", "inputs": ["pages"]}


def count(api: PrefectApi) -> int:
    return api.ask("flow_runs/count", {})


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"source": "my source"}, "parameters.source", "'my source' does not match"),
        ({"partition": "../up"}, "parameters.partition", "'../up' does not match"),
        ({"workers": -1}, "parameters.workers", "-1 is less than the minimum of 0"),
        ({"runner": "spark"}, "parameters.runner", "'spark' is not one of ['local', 'flink', 'dataflow']"),
        ({"inputs": []}, "parameters.inputs", "[] should be non-empty"),
        ({"seed_urls": ["http://a.example/"]}, "parameters.inputs", "['pages'] is expected to be empty"),
        ({"inputs": [""]}, "parameters.inputs[0]", "'' should be non-empty"),
        ({"config": "settings.yaml"}, "parameters.config", "'settings.yaml' does not match"),
        ({"extra": 1}, "parameters", "Additional properties are not allowed ('extra' was unexpected)"),
    ],
)
def test_a_wrong_value_is_refused(api: PrefectApi, wrong: dict, field: str, said: str):
    before = count(api)
    deployment = api.deployment("corpus-build/local")["id"]
    asked = {"parameters": {"parameters": {**GOOD, **wrong}}}
    status, text = api.refusal(f"deployments/{deployment}/create_flow_run", asked)
    assert status == 409
    assert f"Validation failed for field '{field}'" in text
    assert said in text
    assert count(api) == before


def test_what_is_needed_is_asked_for(api: PrefectApi):
    for name in ("corpus-build", "pretrain", "evaluate", "finetune", "pipeline", "watch-snapshots"):
        deployment = api.deployment(f"{name}/local")["id"]
        asked = {"parameters": {"parameters": {}}}
        status, text = api.refusal(f"deployments/{deployment}/create_flow_run", asked)
        assert status == 409
        assert "is a required property" in text


def test_every_form_is_one_model_with_a_description(api: PrefectApi):
    for name in ("corpus-build", "pretrain", "evaluate", "finetune", "pipeline", "watch-snapshots"):
        schema = api.deployment(f"{name}/local")["parameter_openapi_schema"]
        assert list(schema["properties"]) == ["parameters"]
        assert schema["properties"]["parameters"]["description"]
        (form,) = schema["definitions"].values()
        assert all({"title", "description", "position"} <= set(field) for field in form["properties"].values())
