"""What the forms of several flows have in common: how texts are bounded, where fields stand, and the fields of all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FlowParameters", "MaybePlace", "Place", "RunnerParameters", "at"]

# Without blanks at the ends, where a pasted path often has them.
_PLACE_PATTERN = r"^\S(.*\S)?$"
_MAYBE_PLACE_PATTERN = r"^(\S(.*\S)?)?$"
_TOML_PATTERN = r"^(\S.*\.toml)?$"

Place = Annotated[str, Field(min_length=1, pattern=_PLACE_PATTERN)]
MaybePlace = Annotated[str, Field(pattern=_MAYBE_PLACE_PATTERN)]


def at(position: int) -> dict[str, Any]:
    """Where a field stands in the form, for `json_schema_extra`."""
    return {"position": position}


class FlowParameters(BaseModel):
    """What every flow is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Place = Field(
        title="Corpus",
        description="Folder or fsspec URL of the corpus, as the worker sees it.",
        json_schema_extra=at(0),
    )
    config: str = Field(
        default="",
        pattern=_TOML_PATTERN,
        title="Settings",
        description="A TOML file with a table for each stage; empty: every setting at its default.",
        json_schema_extra=at(90),
    )


class RunnerParameters(FlowParameters):
    """What a flow is told that runs Beam stages."""

    runner: Literal["local", "flink", "dataflow"] = Field(
        default="local",
        title="Runner",
        description="Where Beam stages run: on this machine, on the Flink cluster that is up, or on Dataflow.",
        json_schema_extra=at(40),
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=4096,
        title="Workers",
        description="Worker processes of a Beam stage, slots of Flink, or machines of Dataflow; 0: all there are.",
        json_schema_extra=at(41),
    )
