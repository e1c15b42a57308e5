"""Settings of a Flink cluster that `corpusmill flink up` starts on this machine."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from schemas.configs.base import StageConfig

__all__ = ["WORKER_KEPT_SECONDS", "FlinkConfig"]

# How long a task manager keeps a Python worker that no task uses. With none of it, steps that follow each other start
# it again and again, at some two seconds of CPU time each. An attempt within this time after a worker has died is given
# the dead one again, and fails: three attempts a second apart did, and with them the job.
WORKER_KEPT_SECONDS = 3.0


class FlinkConfig(StageConfig):
    """Size and behaviour of a cluster; what is left empty comes from the machine."""

    stage: ClassVar[str] = "flink"

    mode: Literal["standalone", "embedded"] = Field(
        "standalone",
        title="Mode",
        description="Daemons of their own with a web UI, or Flink inside the job server, which survives no kill.",
    )
    environment: Literal["external", "process"] = Field(
        "external",
        title="Python workers",
        description="Started by a pool beside the task managers, or by each task manager itself.",
    )
    task_managers: int = Field(2, ge=1, le=64, title="Task managers", description="Processes that hold the slots.")
    slots: int | None = Field(
        None, ge=1, le=256, title="Slots", description="Of each task manager; empty: the machine's cores, shared out."
    )
    heap_mb: int = Field(384, ge=128, title="Heap", description="MiB of Java heap for each slot of a task manager.")
    managed_mb: int = Field(
        256, ge=64, title="Managed memory", description="MiB for each slot in which Flink sorts and groups."
    )
    worker_mb: int | None = Field(
        None,
        ge=512,
        title="Worker memory",
        description="MiB that one Python worker may allocate; empty: half of the machine's, shared out over the slots.",
    )
    restart_attempts: int = Field(
        5, ge=0, title="Restarts", description="How often a job starts again after it has lost a worker."
    )
    restart_delay_seconds: float = Field(
        5.0,
        ge=WORKER_KEPT_SECONDS + 1,
        title="Restart delay",
        description="Seconds between a failure and the next attempt; too soon it would be given a dead worker.",
    )
    heartbeat_seconds: float = Field(
        10.0, ge=2, title="Heartbeat", description="Seconds of silence after which a task manager counts as lost."
    )
    slot_wait_seconds: float = Field(
        60.0, ge=1, title="Wait for slots", description="Seconds that a job waits for a slot before it fails."
    )
