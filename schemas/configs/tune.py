"""Settings of tuning: which learning rates, batches and shapes are tried, on how many tokens each."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.configs.base import StageConfig

__all__ = ["TuneConfig"]

_Count = Annotated[int, Field(ge=1)]


class TuneConfig(StageConfig):
    """One study. What is not tuned comes from the table `train`; a list with nothing in it keeps its value."""

    stage: ClassVar[str] = "tune"
    operational: ClassVar[frozenset[str]] = frozenset(["trials"])

    trials: int = Field(default=20, title="Trials", description="Models trained, those ended early included.", ge=1)
    tokens: int = Field(
        default=10_000_000, title="Tokens", description="Of each trial; the mixture has to have as many.", ge=1
    )
    learning_rates: tuple[float, float] = Field(
        default=(1e-4, 1e-2), title="Learning rates", description="The lowest and the highest, tried on a log scale."
    )
    batches: tuple[_Count, ...] = Field(default=(), title="Batches", description="Sequences a step.")
    layers: tuple[_Count, ...] = Field(default=(), title="Layers", description="Transformer blocks.")
    widths: tuple[_Count, ...] = Field(
        default=(), title="Widths", description="Features of the residual stream; heads keep their width."
    )
    checks: int = Field(
        default=8, title="Checks", description="Validations of a trial, spread evenly; each may end it.", ge=1, le=1000
    )
    pruner: Literal["median", "halving", "none"] = Field(
        default="median",
        title="Pruner",
        description="Ends trials early: worse than the median of others at the same check, or by successive halving.",
    )
    never_pruned: int = Field(
        default=4, title="Never pruned", description="First trials that median pruning lets go to their end.", ge=1
    )
    warmup_share: float = Field(default=0.05, title="Warm-up share", description="Of a trial's tokens.", ge=0, lt=1)
    seed: int = Field(default=0, title="Seed", description="Of what is tried.", ge=0, lt=2**63)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        low, high = self.learning_rates
        if not 0 < low <= high <= 10:
            raise ValueError(f"learning_rates {low}, {high}: give two numbers over 0, the lower one first")
        return self
