"""Settings of pretraining; defaults are GPT-3's where Brown et al. 2020, appendix B, states them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig
from schemas.configs.model import ModelShape
from schemas.configs.presets import PRESETS

__all__ = ["LONGEST_GRACE_SECONDS", "TrainConfig"]

LONGEST_GRACE_SECONDS = 600.0


class TrainConfig(StageConfig):
    """One training run. `preset` fills in whatever is not given; all lengths in tokens count inputs."""

    stage: ClassVar[str] = "train"
    operational: ClassVar[frozenset[str]] = frozenset(
        [
            "micro_batch",
            "validation_every",
            "validation_windows",
            "sample_every",
            "sample_prompts",
            "sample_tokens",
            "checkpoint_every",
            "keep_checkpoints",
            "verify_shards",
            "loader_workers",
            "cache_folder",
            "cache_bytes",
            "progress_seconds",
            "check_plan",
            "threads",
            "device",
            "parallel",
            "compile",
            "recompute",
            "keep_every",
            "async_checkpoints",
            "grace_seconds",
            "hang_seconds",
            "profile_step",
            "memory_snapshot_step",
            "peak_tflops",
            "evaluate_every",
            "evaluate_suite",
            "evaluate_data",
            "evaluate_limit",
            "evaluate_share",
        ]
    )

    preset: str | None = Field(default=None, title="Preset", description=f"one of {', '.join(PRESETS)}")
    model: ModelShape = Field(default=ModelShape(), title="Model", description="the model's shape")
    seed: int = Field(default=0, title="Seed", description="of initial weights, data order and dropout", ge=0, lt=2**63)

    steps: int | None = Field(
        default=None, title="Steps", description="optimizer steps; empty: all whole batches of the mixture", ge=1
    )
    batch: int = Field(default=256, title="Batch", description="sequences a step", ge=1)
    micro_batch: int | None = Field(
        default=None, title="Micro-batch", description="sequences of one forward pass; empty: the whole batch", ge=1
    )
    ramp_start: int = Field(
        default=16, title="Ramp start", description="sequences of the first steps of a batch ramp", ge=1
    )
    ramp_tokens: int = Field(
        default=0, title="Ramp", description="tokens over which the batch grows linearly; 0: no ramp", ge=0
    )

    optimizer: Literal["adam", "adamw", "sgd"] = Field(
        default="adamw",
        title="Optimizer",
        description="adam adds weight decay to the gradient, adamw takes it off the weights",
    )
    learning_rate: float = Field(default=6e-4, title="Learning rate", description="the highest", gt=0, le=10)
    schedule: Literal["cosine", "linear", "wsd", "constant"] = Field(
        default="cosine",
        title="Schedule",
        description="of the learning rate after the warm-up; wsd: level, then linear over the last part of the decay",
    )
    decay_share: float = Field(
        default=0.1, title="Decay share", description="of wsd: the part of the tokens over which it falls", gt=0, le=1
    )
    final_share: float = Field(
        default=0.1, title="Final share", description="of the learning rate at the end", ge=0, le=1
    )
    warmup_tokens: int = Field(default=375_000_000, title="Warm-up", description="tokens of linear warm-up", ge=0)
    decay_tokens: int | None = Field(
        default=None, title="Decay", description="tokens until the final share; empty: the whole run", ge=1
    )
    beta1: float = Field(default=0.9, title="Beta 1", description="Adam's; SGD's momentum", ge=0, lt=1)
    beta2: float = Field(default=0.95, title="Beta 2", description="Adam's", ge=0, lt=1)
    epsilon: float = Field(default=1e-8, title="Epsilon", description="Adam's", gt=0)
    weight_decay: float = Field(default=0.1, title="Weight decay", description="on matrices only", ge=0)
    gradient_clip: float = Field(default=1.0, title="Gradient clip", description="largest norm of the gradient", gt=0)
    precision: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", title="Precision", description="of matrix products; auto: bf16 where the processor has it"
    )

    document_attention: bool = Field(
        default=False,
        title="Attention within documents",
        description="a token sees its own document only; GPT-3's saw all of the window",
    )
    device: str = Field(default="auto", title="Device", description="auto, cpu, cuda or cuda:NUMBER")
    parallel: Literal["auto", "ddp", "fsdp"] = Field(
        default="auto",
        title="Parallel",
        description="how ranks share the work: whole copies (ddp), or weights and optimizer state in shards (fsdp); "
        "auto: shards where a copy would fill over 40% of a GPU",
    )
    compile: bool = Field(
        default=False, title="Compile", description="training steps as compiled code; the first step takes a minute"
    )
    recompute: Literal["none", "selective", "block"] = Field(
        default="none",
        title="Recompute",
        description="activations that the backward pass computes again: none, of cheap operations, or all of a block",
    )
    on_bad_step: Literal["stop", "skip", "rollback"] = Field(
        default="stop",
        title="On a bad step",
        description="loss or gradient not finite: stop, leave the weights as they are and go on, or go back to the "
        "last checkpoint and leave the step's windows out",
    )
    on_spike: Literal["report", "stop", "skip", "rollback"] = Field(
        default="report",
        title="On a spike",
        description="report: train on it all the same and write it down; else as on a bad step",
    )
    spike_deviations: float | None = Field(
        default=6.0,
        title="Spike",
        description="standard deviations over the mean of the last good steps, of loss or gradient norm, that make a "
        "step a spike; empty: none do",
        gt=0,
    )
    spike_steps: int = Field(
        default=128, title="Spike window", description="good steps that mean and deviation are of", ge=8, le=10_000
    )
    patience: int = Field(
        default=0,
        title="Patience",
        description="validations without a better loss after which the run ends early; 0: never",
        ge=0,
    )

    validation_every: int = Field(default=100, title="Validate every", description="steps; 0: at the end only", ge=0)
    validation_windows: int = Field(
        default=64, title="Validation windows", description="per source, spread evenly over the validation split", ge=1
    )
    sample_every: int = Field(default=500, title="Sample every", description="steps; 0: at the end only", ge=0)
    sample_prompts: tuple[str, ...] = Field(
        default=("",), title="Sample prompts", description="texts to go on from; empty: from the start of a document"
    )
    sample_tokens: int = Field(default=64, title="Sample length", description="tokens of a sample", ge=1, le=2048)
    evaluate_every: int = Field(
        default=0,
        title="Evaluate every",
        description="steps after which a suite is scored, and at the end; 0: never",
        ge=0,
    )
    evaluate_suite: str = Field(
        default="", title="Evaluation suite", description="a suite file, or the name of a shipped one"
    )
    evaluate_data: str | None = Field(
        default=None, title="Evaluation data", description="folder of the suite's files; empty: that of the suite"
    )
    evaluate_limit: int | None = Field(
        default=100, title="Evaluation limit", description="items of a task at most; empty: all", ge=1
    )
    evaluate_share: float = Field(
        default=0.05,
        title="Evaluation share",
        description="of the time that training may stand still for evaluation before its last step",
        gt=0,
        le=0.9,
    )
    checkpoint_every: int = Field(default=500, title="Checkpoint every", description="steps; 0: at the end only", ge=0)
    keep_checkpoints: int = Field(default=2, title="Keep", description="newest checkpoints that stay", ge=1)
    keep_every: int = Field(
        default=0,
        title="Keep every",
        description="checkpoints of multiples of so many steps stay as well; 0: none",
        ge=0,
    )
    async_checkpoints: bool = Field(
        default=True,
        title="Save while training",
        description="a checkpoint is copied in memory, then written meanwhile",
    )
    grace_seconds: float = Field(
        default=20.0,
        title="Grace",
        description="from a request to stop to the end of the process; within it a checkpoint is saved, or none",
        gt=0,
        le=LONGEST_GRACE_SECONDS,
    )
    hang_seconds: float = Field(
        default=600.0,
        title="Hang",
        description="without any sign of life of a rank, after which it prints where it stands and ends",
        gt=0,
    )
    profile_step: int | None = Field(
        default=None, title="Profile", description="a step to profile; the trace is in <run>/profile", ge=1
    )
    memory_snapshot_step: int | None = Field(
        default=None, title="Memory snapshot", description="a step of which CUDA's allocations are written down", ge=1
    )
    peak_tflops: float | None = Field(
        default=None,
        title="Peak",
        description="TFLOP/s of one device, for MFU; empty: as published for a known GPU, measured on a CPU",
        gt=0,
    )
    verify_shards: bool = Field(
        default=True, title="Verify shards", description="read all tokens once at the start and compare their checksums"
    )
    loader_workers: int = Field(
        default=1,
        title="Loader threads",
        description="threads that read batches ahead; 0: read when asked",
        ge=0,
        le=64,
    )
    cache_folder: str | None = Field(
        default=None,
        title="Shard cache",
        description="folder for blocks of shards that lie on another file system; empty: a temporary one",
    )
    cache_bytes: int = Field(
        default=2**34, title="Shard cache size", description="bytes of such blocks on this disk", ge=2**20
    )
    progress_seconds: float = Field(default=2.0, title="Progress", description="seconds between lines on stderr", gt=0)
    check_plan: bool = Field(
        default=True,
        title="Check the plan",
        description="estimate speed and memory before the first step, and say at the end how far off that was",
    )
    threads: int | None = Field(
        default=None, title="Threads", description="of PyTorch; empty: its own choice", ge=1, le=1024
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("preset") is None:
            return given
        name = given["preset"]
        if not isinstance(name, str) or name not in PRESETS:
            raise ValueError(f"no preset {name!r}; known presets: {', '.join(PRESETS)}")
        preset = PRESETS[name]
        model = given.get("model", {})
        if isinstance(model, dict):
            model = {**preset["model"], **model}
        return {**preset, **given, "model": model}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch:
            raise ValueError(f"micro_batch {self.micro_batch} is over batch {self.batch}; lower it")
        if self.evaluate_every and not self.evaluate_suite:
            raise ValueError(f"evaluate_every is {self.evaluate_every} without a suite; set evaluate_suite")
        if self.ramp_tokens and self.ramp_start > self.batch:
            raise ValueError(f"ramp_start {self.ramp_start} is over batch {self.batch}; lower it or set ramp_tokens=0")
        if self.decay_tokens is not None and self.decay_tokens <= self.warmup_tokens:
            raise ValueError(
                f"decay_tokens {self.decay_tokens} is not over warmup_tokens {self.warmup_tokens}; change one of them"
            )
        return self
