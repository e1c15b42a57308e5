"""The forms of the flows: a snapshot, so that a change of a form is a visible diff, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from schemas.configs import flows
from schemas.configs.flows import CorpusBuildParameters, PipelineParameters

SNAPSHOT = Path(__file__).with_name("flow_parameters.json")
MODELS = {name: getattr(flows, name) for name in flows.__all__}


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


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"seed_urls": ["http://a.example/"], "inputs": ["x"]}, "give seed_urls to crawl, or inputs to read"),
        ({}, "give seed_urls to crawl, or inputs to read, and not both"),
        ({"inputs": ["x"], "workers": 0}, "greater than or equal to 1"),
        ({"inputs": ["x"], "source": "a/b"}, "should match pattern"),
        ({"inputs": ["x"], "partition": "../up"}, "should match pattern"),
        ({"inputs": ["x"], "wrokers": 2}, "Extra inputs are not permitted"),
    ],
)
def test_a_form_refuses(given: dict, wrong: str):
    with pytest.raises(ValidationError, match=wrong):
        CorpusBuildParameters(**{"root": "r", "source": "web", "partition": "2026/07", **given})


def test_the_pipeline_takes_all_that_its_corpus_needs():
    assert set(CorpusBuildParameters.model_fields) < set(PipelineParameters.model_fields)
