"""The table of hardware, prices and rates: the one that is shipped, or a copy of it that the user has edited."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.configs.base import read_toml
from schemas.errors import ConfigError

__all__ = ["SHIPPED", "CpuPrice", "DataRates", "Gpu", "HardwareTable", "Utilization", "read_hardware"]

SHIPPED = Path(__file__).with_name("hardware.toml")
GIB = 2**30


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Utilization(_Table):
    """One measured share of an accelerator's peak."""

    parameters: float = Field(gt=0)
    share: float = Field(gt=0, le=1)


class Gpu(_Table):
    """An accelerator; the fields are explained at the top of `hardware.toml`."""

    title: str
    memory_gib: float = Field(gt=0)
    reserve_gib: float = Field(ge=0)
    peak_tflops: float = Field(gt=0)
    usd_per_hour: float = Field(ge=0)
    price_source: str
    speed_source: str
    achieved_tflops: float | None = Field(default=None, gt=0)
    utilization: tuple[Utilization, ...] = ()

    @model_validator(mode="after")
    def _has_one_speed(self) -> Self:
        if (self.achieved_tflops is None) == (not self.utilization):
            raise ValueError("give either achieved_tflops or points of utilization")
        if any(after.parameters <= before.parameters for before, after in pairwise(self.utilization)):
            raise ValueError("points of utilization must have growing parameters")
        return self

    @property
    def memory_bytes(self) -> int:
        """What a process can use."""
        return int(self.memory_gib * GIB)

    @property
    def reserve_bytes(self) -> int:
        """What is not there for tensors."""
        return int(self.reserve_gib * GIB)

    def share_of_peak(self, parameters: int) -> float:
        """The share of the peak that a model of this size reaches, between the measured points."""
        points = self.utilization
        if parameters <= points[0].parameters:
            return points[0].share
        for before, after in pairwise(points):
            if parameters <= after.parameters:
                way = math.log(parameters / before.parameters) / math.log(after.parameters / before.parameters)
                return before.share + way * (after.share - before.share)
        return points[-1].share


class CpuPrice(_Table):
    """What a core costs."""

    usd_per_core_hour: float = Field(ge=0)
    price_source: str


class DataRates(_Table):
    """Measured rates of the data chain, each for one core, and what a document is like."""

    utf8_bytes_per_token: float = Field(gt=0)
    tokens_per_document: float = Field(gt=0)
    raw_pages_per_document: float = Field(ge=1)
    clean_cpu_ms_per_page: float = Field(ge=0)
    dedup_cpu_ms_per_document: float = Field(ge=0)
    decontaminate_characters_per_second: float = Field(gt=0)
    tokenize_tokens_per_second: float = Field(gt=0)
    loader_tokens_per_second: float = Field(gt=0)


class HardwareTable(_Table):
    """The whole file."""

    gpu: dict[str, Gpu] = Field(min_length=1)
    cpu: CpuPrice
    data: DataRates

    def find(self, name: str) -> Gpu:
        """The accelerator of this name.

        Raises:
            ConfigError: the table has none.
        """
        if name not in self.gpu:
            known = ", ".join([*self.gpu, "cpu"])
            raise ConfigError(
                f"--gpu {name}: not in the table of hardware, which has {known}; add it (--hardware FILE)"
            )
        return self.gpu[name]


def read_hardware(path: str | None = None) -> HardwareTable:
    """The table in a file, by default the shipped one.

    Raises:
        InputError: the file cannot be read.
        ConfigError: it is not TOML, or an entry is wrong; one line that names it.
    """
    content = read_toml(str(SHIPPED) if path is None else path)
    try:
        return HardwareTable.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"hardware table {path}: {place}: {message}; `corpusmill plan --show-hardware` prints one that is right"
        ) from error
