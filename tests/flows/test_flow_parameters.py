"""The forms of the flows: a snapshot, so that a change of a form is a visible diff, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from schemas.configs import flows
from schemas.configs.flows import CorpusBuildParameters, PipelineParameters, WatchSnapshotsParameters
from schemas.configs.run_stage import StageParameters

SNAPSHOT = Path(__file__).with_name("flow_parameters.json")
MODELS = {name: getattr(flows, name) for name in flows.__all__} | {"StageParameters": StageParameters}


def test_the_forms_are_as_they_were():
    schemas = {name: model.model_json_schema() for name, model in MODELS.items()}
    expected = json.loads(SNAPSHOT.read_text())
    assert schemas == expected, f"if the change is meant, write the new schemas to {SNAPSHOT.name}"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_field_is_titled_described_and_flat(model: type[BaseModel]):
    for name, field in model.model_fields.items():
        assert field.title, name
        assert field.description, name
        assert not any(isinstance(one, type) and issubclass(one, BaseModel) for one in get_args(field.annotation))
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_field_has_its_place_and_no_choice_of_types(model: type[BaseModel]):
    fields = model.model_json_schema()["properties"]
    positions = [field["position"] for field in fields.values()]
    assert len(set(positions)) == len(positions)
    # The form draws a union as a choice between types, and needs a page for it.
    assert not [name for name, field in fields.items() if "anyOf" in field or "oneOf" in field]
    bounds = {"string": {"pattern", "enum"}, "integer": {"minimum"}, "array": {"items"}}
    assert not [name for name, field in fields.items() if not bounds[field["type"]] & set(field)]


READ = {"inputs": ["x"]}
REFUSED = [
    ({"seed_urls": ["http://a.example/"], **READ}, "give one of inputs to read, seed_urls to crawl, or common_crawl"),
    ({"common_crawl": "http://a.example/", **READ}, "give one of inputs to read"),
    ({"common_crawl": "http://a.example/", "seed_urls": ["http://a.example/"]}, "give one of inputs to read"),
    ({}, "give one of inputs to read"),
    ({"inputs": []}, "give one of inputs to read"),
    ({"inputs": [""]}, "at least 1 character"),
    ({"inputs": [" x"]}, "should match pattern"),
    ({**READ, "workers": -1}, "greater than or equal to 0"),
    ({**READ, "workers": 5000}, "less than or equal to 4096"),
    ({**READ, "source": "a/b"}, "should match pattern"),
    ({**READ, "partition": "../up"}, "should match pattern"),
    ({**READ, "partition": ""}, "should match pattern"),
    ({**READ, "root": ""}, "at least 1 character"),
    ({**READ, "root": "corpus "}, "should match pattern"),
    ({**READ, "config": "settings.yaml"}, "should match pattern"),
    ({**READ, "runner": "spark"}, "Input should be 'local', 'flink' or 'dataflow'"),
    ({**READ, "wrokers": 2}, "Extra inputs are not permitted"),
]
NEEDED = {"root": "r", "source": "web", "partition": "2026/07"}


@pytest.mark.parametrize(("given", "wrong"), REFUSED)
def test_a_form_refuses(given: dict, wrong: str):
    with pytest.raises(ValidationError, match=wrong):
        CorpusBuildParameters(**{**NEEDED, **given})


@pytest.mark.parametrize("model", [CorpusBuildParameters, PipelineParameters])
def test_the_server_refuses_and_takes_what_the_flow_does(model: type[BaseModel]):
    schema = Draft202012Validator(model.model_json_schema())
    assert not [given for given, _ in REFUSED if schema.is_valid({**NEEDED, **given})]
    origins = [READ, {"seed_urls": ["http://a.example/"]}, {"common_crawl": "http://a.example/", "inputs": []}]
    for given in origins:
        assert schema.is_valid({**NEEDED, **given})
        whole = model(**NEEDED, **given)
        assert schema.is_valid(whole.model_dump(mode="json"))


def test_a_watch_needs_a_corpus_only():
    parameters = WatchSnapshotsParameters(root="corpus")
    assert (parameters.slices, parameters.files, parameters.source) == (1, 1, "common_crawl")
    with pytest.raises(ValidationError, match="should match pattern"):
        WatchSnapshotsParameters(root="corpus", first_snapshot="2026-30")


def test_the_pipeline_takes_all_that_its_corpus_needs():
    assert set(CorpusBuildParameters.model_fields) < set(PipelineParameters.model_fields)
