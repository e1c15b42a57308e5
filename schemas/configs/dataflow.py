"""Settings of jobs on Google Cloud Dataflow: where they run, in which image, on which machines."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig

__all__ = ["DataflowConfig"]


class DataflowConfig(StageConfig):
    """What `--runner dataflow` needs to know; the first four have no default."""

    stage: ClassVar[str] = "dataflow"

    project: str = Field(
        pattern=r"^[a-z][a-z0-9.:-]{4,61}[a-z0-9]$", title="Project", description="Id of the Google Cloud project."
    )
    region: str = Field(pattern=r"^[a-z]+-[a-z]+\d+$", title="Region", description="Such as europe-west4.")
    temp_location: str = Field(
        min_length=1,
        title="Temporary files",
        description="A folder in a bucket of the region, gs://bucket/folder, for graphs and Dataflow's own files.",
    )
    image: str = Field(
        pattern=r"^[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})$",
        title="Worker image",
        description="With a tag or digest; built from infra/images/Dockerfile at the version that submits.",
    )
    workers: int = Field(4, ge=1, le=1000, title="Workers", description="Machines at most, where --workers says none.")
    machine_type: str = Field(
        "n2-highmem-4",
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$",
        title="Machine type",
        description="Each of its cores runs one Python worker.",
    )
    disk_gb: int = Field(50, ge=25, le=10_000, title="Disk", description="GB of each machine; the image needs 6 of it.")
    service_account: str = Field(
        "",
        pattern=r"^$|^[^@\s]+@[^@\s]+$",
        title="Service account",
        description="Whom workers act as; empty: Compute Engine's default account.",
    )
    subnetwork: str = Field(
        "",
        pattern=r"^$|^(https://|regions/)\S+$",
        title="Subnetwork",
        description="regions/REGION/subnetworks/NAME; empty: the project's default network.",
    )
    public_ips: bool = Field(
        False,
        title="Public addresses",
        description="Whether machines have them; without, the subnetwork needs Private Google Access.",
    )
    endpoint: str = Field(
        "https://dataflow.googleapis.com",
        pattern=r"^(https://[^/\s]+|http://localhost:\d+)$",
        title="Endpoint",
        description="Of the Dataflow API; http://localhost:PORT is an emulator, which may use local folders.",
    )

    @property
    def is_emulator(self) -> bool:
        """Whether the service is on this machine and needs no credentials."""
        return self.endpoint.startswith("http://")

    @model_validator(mode="after")
    def _bucket(self) -> DataflowConfig:
        if not self.is_emulator and not self.temp_location.startswith("gs://"):
            raise ValueError(f"temp_location has to be gs://bucket/folder, got {self.temp_location!r}")
        return self
