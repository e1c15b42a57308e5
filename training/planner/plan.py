"""A plan: what training a model on so many tokens needs, how long it takes, and what it costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.errors import ConfigError
from training.planner.flops import flops_per_token
from training.planner.hardware import DataRates, Gpu, HardwareTable
from training.planner.layout import Wishes, find_layout, refusal, what_fits
from training.planner.memory import Checkpointing, Layout, Memory, checkpoint_bytes, peak_memory

__all__ = ["DataNeeds", "Job", "Plan", "data_needs", "gpu_tokens_per_second", "plan_on_cpu", "plan_on_gpu", "wishes_of"]

_GIB = 2**30
_HOUR = 3600.0
_YEAR_HOURS = 365.25 * 24
# Computing every block again is one forward pass in four: 8 instead of 6 operations a parameter and token.
_BLOCK_SHARE = 0.75


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be trained."""

    name: str
    model: ModelConfig
    tokens: int
    config: TrainConfig

    @property
    def moments(self) -> int:
        """Tensors that the optimizer keeps for each weight."""
        return 1 if self.config.optimizer == "sgd" else 2


@dataclass(frozen=True, kw_only=True)
class DataNeeds:
    """What making the tokens takes, from raw pages on; core-hours by stage."""

    documents: int
    raw_pages: int
    utf8_bytes: int
    token_bytes: int
    core_hours: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that `corpusmill plan` tells; layout and memory are None where the model does not fit."""

    model: str
    parameters: int
    tokens: int
    steps: int
    flops: dict[str, float]
    hardware: str
    title: str
    layout: Layout | None
    memory: Memory | None
    memory_available: int
    utilization: float | None
    tokens_per_second: float
    hours: float
    device_hours: float
    usd: float
    checkpoint_bytes: int
    loader_bytes_per_second: float
    loader_processes: float
    data: DataNeeds
    data_usd: float
    sources: tuple[str, ...]

    @property
    def device_years(self) -> float:
        """Years on one device."""
        return self.device_hours / _YEAR_HOURS

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; sums beside their parts."""
        content = asdict(self)
        if self.memory is not None:
            content["memory"] = {**asdict(self.memory), "total": self.memory.total}
        content["device_years"] = self.device_years
        return content


def data_needs(tokens: int, rates: DataRates, vocabulary: int) -> DataNeeds:
    """What making so many training tokens takes, at measured rates."""
    documents = tokens / rates.tokens_per_document
    pages = documents * rates.raw_pages_per_document
    utf8_bytes = tokens * rates.utf8_bytes_per_token
    seconds = {
        "clean": pages * rates.clean_cpu_ms_per_page / 1000,
        "dedup": documents * rates.dedup_cpu_ms_per_document / 1000,
        "decontaminate": utf8_bytes / rates.decontaminate_characters_per_second,
        "tokenize": tokens / rates.tokenize_tokens_per_second,
    }
    return DataNeeds(
        documents=round(documents),
        raw_pages=round(pages),
        utf8_bytes=round(utf8_bytes),
        token_bytes=tokens * _token_bytes(vocabulary),
        core_hours={stage: one / _HOUR for stage, one in seconds.items()},
    )


def _token_bytes(vocabulary: int) -> int:
    return 2 if vocabulary <= 2**16 else 4


def gpu_tokens_per_second(model: ModelConfig, gpu: Gpu, gpus: int, checkpointing: Checkpointing) -> float:
    """Tokens that so many accelerators train on in a second, at the rates of the table."""
    if gpu.achieved_tflops is not None:
        return gpus * gpu.achieved_tflops * 1e12 / flops_per_token(model, "6nd")
    share = gpu.share_of_peak(model.num_parameters()) * (_BLOCK_SHARE if checkpointing == "block" else 1)
    return gpus * share * gpu.peak_tflops * 1e12 / flops_per_token(model, "full")


def wishes_of(job: Job, checkpointing: Checkpointing | None) -> Wishes:
    """What the settings of a run decide about its layout.

    Raises:
        ConfigError: the settings ask for fp32, whose speed the table does not have.
    """
    if job.config.precision == "fp32":
        raise ConfigError("train.precision is fp32, and the table of hardware has speeds of bf16; leave it at auto")
    return Wishes(
        batch=job.config.batch,
        micro_batch=job.config.micro_batch,
        checkpointing=checkpointing,
        moments=job.moments,
        windows=job.config.validation_windows,
    )


def plan_on_gpu(
    job: Job,
    table: HardwareTable,
    gpu: str,
    gpus: int | None = None,
    checkpointing: Checkpointing | None = None,
    must_fit: bool = True,
) -> Plan:
    """Plan a job on accelerators of the table, by default on the fewest that fit.

    Args:
        job: what is to be trained.
        table: hardware, prices and rates.
        gpu: name of an accelerator.
        gpus: how many of them.
        checkpointing: what is computed again in the backward pass; chosen where not given.
        must_fit: whether to refuse what does not fit; else it is planned as if on one device of enough memory.

    Raises:
        ConfigError: it does not fit, or the settings contradict each other; the message says what would do.
    """
    kind = table.find(gpu)
    wishes = wishes_of(job, checkpointing)
    layout = find_layout(job.model, table, gpu, gpus, wishes)
    if layout is None and must_fit:
        raise ConfigError(refusal(job.name, job.model, table, gpu, gpus, wishes))
    devices, again = (1, checkpointing or "none") if layout is None else (layout.gpus, layout.checkpointing)
    windows = job.config.validation_windows
    memory = None if layout is None else peak_memory(job.model, layout, moments=job.moments, windows=windows)
    speed = gpu_tokens_per_second(job.model, kind, devices, again)
    hours = job.tokens / speed / _HOUR
    reached = speed / devices * flops_per_token(job.model, "full") / (kind.peak_tflops * 1e12)
    return Plan(
        hardware=gpu,
        title=kind.title,
        layout=layout,
        memory=memory,
        memory_available=kind.memory_bytes - kind.reserve_bytes,
        utilization=reached,
        hours=hours,
        device_hours=hours * devices,
        usd=hours * devices * kind.usd_per_hour,
        sources=(f"speed: {kind.speed_source}", f"${kind.usd_per_hour:.2f} an hour: {kind.price_source}"),
        **_shared_facts(job, table, speed),
    )


def plan_on_cpu(
    job: Job, table: HardwareTable, *, tokens_per_second: float, cores: int, memory: int, size: int
) -> Plan:
    """Plan a job on this machine.

    Args:
        job: what is to be trained.
        table: prices and rates.
        tokens_per_second: as measured here.
        cores: that training uses.
        memory: bytes of this machine.
        size: bytes of a number in matrix products here.

    Raises:
        ConfigError: it does not fit; the message says what would.
    """
    config = job.config
    layout = Layout(batch=config.batch, micro_batch=config.micro_batch or config.batch)
    facts: dict[str, Any] = {
        "size": size,
        "device": "cpu",
        "moments": job.moments,
        "windows": config.validation_windows,
    }
    needed = peak_memory(job.model, layout, **facts)
    if needed.total > memory:
        raise ConfigError(_does_not_fit(job, table, layout, needed.total, memory, facts))
    hours = job.tokens / tokens_per_second / _HOUR
    return Plan(
        hardware="cpu",
        title=f"this machine, {cores} cores",
        layout=layout,
        memory=needed,
        memory_available=memory,
        utilization=None,
        hours=hours,
        device_hours=hours,
        usd=hours * cores * table.cpu.usd_per_core_hour,
        sources=(
            "speed: layers of the model, measured here just now",
            f"${table.cpu.usd_per_core_hour:.2f} a core and hour: {table.cpu.price_source}",
        ),
        **_shared_facts(job, table, tokens_per_second),
    )


def _does_not_fit(
    job: Job, table: HardwareTable, layout: Layout, needed: int, memory: int, facts: dict[str, Any]
) -> str:
    smaller = replace(layout, micro_batch=1)
    least = peak_memory(job.model, smaller, **facts).total
    head = f"{job.name} does not fit in this machine: {needed / _GIB:,.1f} GiB, and it has {memory / _GIB:,.1f}"
    if least <= memory:
        return f"{head}; with --set micro_batch=1 it takes {least / _GIB:,.1f} GiB"
    others = what_fits(job.model, table, wishes_of(job, None))
    return f"{head}; what fits: {others or 'nothing in the table'}"


def _shared_facts(job: Job, table: HardwareTable, speed: float) -> dict[str, Any]:
    """What a plan says whatever it runs on: of the model, the data, the checkpoints and the loader."""
    model = job.model
    data = data_needs(job.tokens, table.data, model.vocabulary_size)
    return {
        "model": job.name,
        "parameters": model.num_parameters(),
        "tokens": job.tokens,
        "steps": -(-job.tokens // (job.config.batch * model.context)),
        "flops": {one: float(flops_per_token(model, one)) * job.tokens for one in ("6nd", "full", "window")},
        "tokens_per_second": speed,
        "checkpoint_bytes": checkpoint_bytes(model, job.moments),
        "loader_bytes_per_second": speed * _token_bytes(model.vocabulary_size),
        "loader_processes": speed / table.data.loader_tokens_per_second,
        "data": data,
        "data_usd": sum(data.core_hours.values()) * table.cpu.usd_per_core_hour,
    }
