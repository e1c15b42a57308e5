"""The command lines and the configuration of a cluster's daemons."""

from __future__ import annotations

import json
import os
import random
import shlex
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.flink.toolchain import OUR_JAR
from flows.keeping.keeper import Daemon
from pipelines.engine.flink import worker_boot
from pipelines.engine.flink.description import ClusterDescription
from pipelines.engine.settings import default_workers
from schemas.configs.flink import FlinkConfig

__all__ = ["ClusterPlan", "free_ports"]

_HOST = "localhost"
_PORTS = ("rest", "rpc", "blob", "job", "artifact", "pool")
_PORT_RANGE = range(20_000, 32_000)
_MANAGER_HEAP_MB = 512
_JOB_SERVER_HEAP_MB = 512
# Of a task manager, beside its slots: framework, network buffers, class metadata, the JVM itself.
_FRAMEWORK_MB, _NETWORK_MB, _METASPACE_MB, _OVERHEAD_MB = 128, 64, 256, 192
# What Flink and Kryo reach into by reflection; Java 17 keeps it closed otherwise.
_OPEN = (
    "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch",
    "java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
)  # fmt: skip
_LOG_FORMAT = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)
_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_POOL = "pipelines.engine.flink.worker_pool"  # by name: importing it imports Beam
_JOB_SERVER = "corpusmill.flink.JobServer"


def free_ports() -> dict[str, int]:
    """A port for each service of a cluster that nobody listens on now.

    They lie below those that systems give to outgoing connections: one of ours would take a port before the daemon
    that is meant to listen there has started, or while it is being started again.
    """
    free: list[int] = []
    for port in random.SystemRandom().sample(_PORT_RANGE, len(_PORT_RANGE)):
        with suppress(OSError), socket.create_server((_HOST, port)):
            free.append(port)
        if len(free) == len(_PORTS):
            break
    return dict(zip(_PORTS, free, strict=True))


def _machine_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


@dataclass(frozen=True)
class ClusterPlan:
    """Everything about a cluster that is decided before it starts."""

    config: FlinkConfig
    folder: Path
    ports: dict[str, int]
    java: str
    jars: Path

    @property
    def embedded(self) -> bool:
        """Whether Flink runs inside the job server."""
        return self.config.mode == "embedded"

    @property
    def slots_of_task_manager(self) -> int:
        """As given, or the cores shared out."""
        return self.config.slots or max(1, default_workers() // self.config.task_managers)

    @property
    def slots(self) -> int:
        """Of all task managers."""
        return self.slots_of_task_manager * self.config.task_managers

    @property
    def worker_script(self) -> Path:
        """What starts a Python worker."""
        return self.folder / "worker"

    def describe(self, keeper_pid: int | None, keeper_start: str | None) -> ClusterDescription:
        """What a run has to know."""
        external = self.config.environment == "external"
        command = json.dumps({"command": str(self.worker_script)})
        return ClusterDescription(
            job_endpoint=f"{_HOST}:{self.ports['job']}",
            rest=None if self.embedded else f"http://{_HOST}:{self.ports['rest']}",
            slots=self.slots,
            slots_of_task_manager=self.slots if self.embedded else self.slots_of_task_manager,
            environment_type="EXTERNAL" if external else "PROCESS",
            environment_config=f"{_HOST}:{self.ports['pool']}" if external else command,
            keeper_pid=keeper_pid,
            keeper_start=keeper_start,
        )

    def flink_settings(self) -> dict[str, object]:
        """The content of Flink's `config.yaml`."""
        config, slots = self.config, self.slots if self.embedded else self.slots_of_task_manager
        beat = int(config.heartbeat_seconds * 1000)
        return {
            "jobmanager.rpc.address": _HOST,
            "jobmanager.rpc.port": self.ports["rpc"],
            "jobmanager.bind-host": _HOST,
            "rest.address": _HOST,
            "rest.bind-address": _HOST,
            "rest.port": self.ports["rest"],
            "blob.server.port": self.ports["blob"],
            "taskmanager.host": _HOST,
            "taskmanager.bind-host": _HOST,
            "taskmanager.numberOfTaskSlots": slots,
            "taskmanager.cpu.cores": float(slots),
            "taskmanager.memory.task.heap.size": f"{config.heap_mb * slots}m",
            "taskmanager.memory.task.off-heap.size": "0m",
            "taskmanager.memory.framework.heap.size": f"{_FRAMEWORK_MB}m",
            "taskmanager.memory.framework.off-heap.size": f"{_FRAMEWORK_MB}m",
            "taskmanager.memory.network.min": f"{_NETWORK_MB * slots}m",
            "taskmanager.memory.network.max": f"{_NETWORK_MB * slots}m",
            "taskmanager.memory.managed.size": f"{config.managed_mb * slots}m",
            "taskmanager.memory.jvm-metaspace.size": f"{_METASPACE_MB}m",
            "taskmanager.memory.jvm-overhead.min": f"{_OVERHEAD_MB}m",
            "taskmanager.memory.jvm-overhead.max": f"{_OVERHEAD_MB}m",
            "restart-strategy.type": "fixed-delay" if config.restart_attempts else "none",
            "restart-strategy.fixed-delay.attempts": max(1, config.restart_attempts),
            "restart-strategy.fixed-delay.delay": f"{int(config.restart_delay_seconds * 1000)} ms",
            "slot.request.timeout": int(config.slot_wait_seconds * 1000),
            "heartbeat.timeout": beat,
            "heartbeat.interval": max(500, beat // 5),
            "io.tmp.dirs": str(self.folder / "tmp"),
            "parallelism.default": self.slots,
        }

    def write_files(self) -> None:
        """Write what the daemons read: Flink's settings and the script that starts a worker."""
        conf = self.folder / "conf"
        for place in (conf, self.folder / "log", self.folder / "tmp"):
            place.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}: {value}" for name, value in self.flink_settings().items()]
        (conf / "config.yaml").write_text("\n".join(lines) + "\n")
        budget = self.config.worker_mb or max(1024, _machine_mb() // 2 // self.slots)
        command = f"{shlex.quote(sys.executable)} -m {worker_boot.__name__}"
        log = shlex.quote(str(self.folder / "log" / "workers.log"))
        self.worker_script.write_text(
            f'#!/bin/sh\n{worker_boot.MEMORY_VARIABLE}={budget} exec {command} "$@" >>{log} 2>&1\n'
        )
        self.worker_script.chmod(0o755)

    def _java(self, heap_mb: int, main: str, *arguments: str) -> tuple[str, ...]:
        opens = [f"--add-opens={name}=ALL-UNNAMED" for name in _OPEN]
        path = f"{self.jars}/{OUR_JAR}:{self.jars}/*"  # ours first: one of its classes stands in for Beam's
        return (self.java, f"-Xmx{heap_mb}m", *_LOG_FORMAT, *opens, "-cp", path, main, *arguments)

    def _conf(self) -> str:
        return str(self.folder / "conf")

    def manager(self) -> Daemon:
        """Flink's JobManager."""
        return Daemon("jobmanager", self._java(_MANAGER_HEAP_MB, _MANAGER, "--configDir", self._conf()))

    def task_managers(self) -> list[Daemon]:
        """Flink's task managers."""
        heap = _FRAMEWORK_MB + self.config.heap_mb * self.slots_of_task_manager
        names = [f"taskmanager-{number}" for number in range(1, self.config.task_managers + 1)]
        flags = ("--configDir", self._conf())
        return [
            Daemon(name, self._java(heap, _TASK_MANAGER, *flags, f"-Dtaskmanager.resource-id={name}")) for name in names
        ]

    def job_server(self) -> Daemon:
        """Beam's job server, which turns pipelines into Flink jobs."""
        heap = _JOB_SERVER_HEAP_MB + (self.config.heap_mb * self.slots + 512 if self.embedded else 0)
        master = "[local]" if self.embedded else f"{_HOST}:{self.ports['rest']}"
        flags = (
            f"--flink-master={master}",
            f"--job-host={_HOST}",
            f"--job-port={self.ports['job']}",
            f"--artifact-port={self.ports['artifact']}",
            "--expansion-port=0",
            f"--artifacts-dir={self.folder / 'tmp' / 'artifacts'}",
            f"--flink-conf-dir={self._conf()}",
        )
        return Daemon("jobserver", self._java(heap, _JOB_SERVER, *flags))

    def pool(self) -> list[Daemon]:
        """What starts Python workers for task managers; none where these do it themselves."""
        if self.config.environment != "external":
            return []
        command = (sys.executable, "-m", _POOL, str(self.ports["pool"]), str(self.worker_script))
        return [Daemon("workerpool", command)]

    def daemons(self) -> list[Daemon]:
        """All of them, in the order in which they start."""
        flink = [] if self.embedded else [self.manager(), *self.task_managers()]
        return [*flink, *self.pool(), self.job_server()]
