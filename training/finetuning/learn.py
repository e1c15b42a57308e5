"""The steps of fine-tuning: training on answers, validation, and ending when it gets no better."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from schemas.configs.finetune import FinetuneConfig
from schemas.configs.train import TrainConfig
from training.finetuning.job import Job
from training.finetuning.packing import Rows, collate
from training.finetuning.samples import Sample, pairs_of_step
from training.hardware import matrix_precision
from training.loop.optimizer import build_optimizer
from training.loop.run_log import METRICS_NAME, RunLog
from training.loop.schedule import learning_rate
from training.loop.speed import memory_bytes
from training.loop.step import StepResult, train_step
from training.loop.validation import has_stopped_learning
from training.model.gpt import GPT
from training.model.loss import IGNORED_LABEL

__all__ = ["Learned", "answer_loss", "learn"]


@dataclass(kw_only=True)
class Learned:
    """How training went."""

    steps: int
    tokens: int
    loss: float
    seconds: float
    trainable_parameters: int
    state_bytes: int  # gradients and optimizer state
    memory_bytes: int  # the most of the device, or of the process on a CPU
    validation_losses: list[float] = field(default_factory=list)
    best_step: int | None = None  # whose weights were kept; None without validation


def _arranged(samples: Sequence[Sample], config: FinetuneConfig, model: GPT) -> Rows:
    on_gpu = model.token_embedding.weight.device.type == "cuda"
    return collate(samples, config.pack, model.config.context if on_gpu else None)


@torch.no_grad()
def answer_loss(model: GPT, samples: Sequence[Sample], config: FinetuneConfig) -> float:
    """Mean loss of the answers' tokens, in nats; the model's mode is put back."""
    was_training, device = model.training, model.token_embedding.weight.device
    model.eval()
    total, tokens = 0.0, 0
    for start in range(0, len(samples), config.batch):
        rows = _arranged(samples[start : start + config.batch], config, model)
        for inputs, labels, _, documents, positions in rows.micro_batches(config.micro_batch, device):
            with matrix_precision(config.precision, device):
                loss = model(inputs, labels_BT=labels, documents_BT=documents, positions_BT=positions)
            total += loss.item()
            tokens += int((labels != IGNORED_LABEL).sum())
    model.train(was_training)
    return total / tokens


def _trained(model: GPT) -> dict[str, Tensor]:
    return {name: one for name, one in model.named_parameters() if one.requires_grad}


class _Best:
    """The weights of the best validation so far, on the CPU."""

    def __init__(self, model: GPT) -> None:
        self._model = model
        self._kept: dict[str, Tensor] = {}
        self.step = 0

    def keep(self, step: int) -> None:
        """These weights are the best."""
        self.step = step
        self._kept = {name: one.detach().to("cpu", copy=True) for name, one in _trained(self._model).items()}

    @torch.no_grad()
    def put_back(self) -> None:
        """Give the model its best weights."""
        for name, one in _trained(self._model).items():
            one.copy_(self._kept[name])


def _state_bytes(model: GPT, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of gradients and of the optimizer's state."""
    gradients = sum(one.grad.nbytes for one in model.parameters() if one.grad is not None)
    held = (v.nbytes for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor))
    return gradients + sum(held)


def _step(
    model: GPT, optimizer: torch.optim.Optimizer, samples: Sequence[Sample], config: FinetuneConfig, step: int
) -> StepResult:
    chosen = pairs_of_step(step - 1, config.batch, len(samples), config.seed)
    rows = _arranged([samples[index] for index in chosen], config, model)
    return train_step(
        model,
        optimizer,
        rows.micro_batches(config.micro_batch, model.token_embedding.weight.device),
        gradient_clip=config.gradient_clip,
        precision=config.precision,
        seed=config.seed,
        step=step,
    )


def learn(
    job: Job, model: GPT, samples: Sequence[Sample], validation: Sequence[Sample], say: Callable[[str], None]
) -> Learned:
    """Train `model` in place and write metrics; with validation it ends with the weights of the best one.

    Args:
        job: what is trained.
        model: with its frozen weights frozen.
        samples: of the training pairs.
        validation: of the validation pairs; may be empty.
        say: is told how far it is.
    """
    config, began = job.config, time.perf_counter()
    recipe = TrainConfig(
        learning_rate=config.learning_rate,
        warmup_tokens=int(config.warmup_share * job.steps),  # the schedule counts steps here
        final_share=config.final_share,
        weight_decay=config.weight_decay,
    )
    optimizer = build_optimizer(model.train(), recipe)
    log, best = RunLog(job.out, METRICS_NAME, 0), _Best(model)
    tokens, loss, step, losses = 0, math.nan, 0, list[float]()
    while step < job.steps and not has_stopped_learning(losses, config.patience):
        step += 1
        started, rate = time.perf_counter(), learning_rate(recipe, step, job.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        result = _step(model, optimizer, samples, config, step)
        tokens, loss = tokens + result.tokens, result.loss
        seconds = round(time.perf_counter() - started, 6)
        row = {"step": step, "tokens": tokens, "loss": loss, "learning_rate": rate, "seconds": seconds}
        if validation and (step % job.validation_every == 0 or step == job.steps):
            losses.append(answer_loss(model, validation, config))
            row["validation_loss"] = losses[-1]
            if losses[-1] == min(losses):
                best.keep(step)
        log.append(row)
        _tell(job, row, say)
    state_bytes = _state_bytes(model, optimizer)
    optimizer.zero_grad(set_to_none=True)
    if validation:
        best.put_back()
    model.eval()
    return Learned(
        steps=step,
        tokens=tokens,
        loss=loss,
        seconds=time.perf_counter() - began,
        trainable_parameters=sum(one.numel() for one in _trained(model).values()),
        state_bytes=state_bytes,
        memory_bytes=memory_bytes(model.token_embedding.weight.device),
        validation_losses=losses,
        best_step=best.step if validation else None,
    )


def _tell(job: Job, row: dict[str, float], say: Callable[[str], None]) -> None:
    step, found = int(row["step"]), row.get("validation_loss")
    if found is not None or step == job.steps or step % max(1, job.steps // 10) == 0:
        shown = "" if found is None else f"  validation {found:.3f}"
        say(f"step {step}/{job.steps}  loss {row['loss']:.3f}  lr {row['learning_rate']:.1e}{shown}")
