"""Saving a run's state, going on from it, and loading the model of a run."""

from __future__ import annotations

from schemas.run import checkpoint_steps, latest_step
from training.checkpoints.files import CheckpointState, load_weights, restore
from training.checkpoints.loading import LoadedModel, load_model, load_tokenizer, untrained_model
from training.checkpoints.saver import CheckpointSaver, save

__all__ = [
    "CheckpointSaver",
    "CheckpointState",
    "LoadedModel",
    "checkpoint_steps",
    "latest_step",
    "load_model",
    "load_tokenizer",
    "load_weights",
    "restore",
    "save",
    "untrained_model",
]
