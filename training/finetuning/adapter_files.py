"""LoRA adapters as files of the library `peft`: `adapter_config.json` and `adapter_model.safetensors`.

Names are those of our exports, so `PeftModel.from_pretrained(MODEL, FOLDER)` puts an adapter on the exported base.
"""

from __future__ import annotations

import json
from typing import Any

from safetensors.torch import save
from torch import Tensor

from schemas.configs.finetune import LoraSettings
from schemas.storage import Folder
from training.export.gpt2_names import PREFIX, pairs_of_names
from training.finetuning.lora import adapters_of
from training.model.gpt import GPT

__all__ = ["ADAPTER_FOLDER", "adapter_config", "adapter_tensors", "write_adapter"]

ADAPTER_FOLDER = "adapter"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# peft wraps the model twice.
_OUTER = f"base_model.model.{PREFIX}"


def _theirs(layers: int) -> dict[str, str]:
    """Their name of each linear layer, such as `h.0.attn.c_attn`, by ours."""
    pairs = pairs_of_names(layers).items()
    return {
        ours.removesuffix(".weight"): name.removesuffix(".weight") for ours, name in pairs if ours.endswith("weight")
    }


def adapter_config(model: GPT, settings: LoraSettings) -> dict[str, Any]:
    """The content of `adapter_config.json`; GPT-2's layers have their inputs first, which `fan_in_fan_out` says."""
    theirs = _theirs(model.config.layers)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": sorted({".".join(theirs[name].split(".")[2:]) for name in adapters_of(model)}),
        "fan_in_fan_out": True,
        "bias": "none",
        "inference_mode": True,
    }


def adapter_tensors(model: GPT) -> dict[str, Tensor]:
    """Both matrices of every adapter, by their names, on the CPU."""
    theirs, tensors = _theirs(model.config.layers), {}
    for name, layer in adapters_of(model).items():
        tensors[f"{_OUTER}{theirs[name]}.lora_A.weight"] = layer.lora_a.detach().cpu().contiguous()
        tensors[f"{_OUTER}{theirs[name]}.lora_B.weight"] = layer.lora_b.detach().cpu().contiguous()
    return tensors


def write_adapter(run: str, model: GPT, settings: LoraSettings) -> None:
    """Write the adapters of a model into `<run>/adapter/`.

    Raises:
        OutputError: it cannot be written.
    """
    folder = Folder(run).child(ADAPTER_FOLDER)
    folder.make()
    folder.put_whole(_WEIGHTS, save(adapter_tensors(model), metadata={"format": "pt"}))
    folder.put_whole(_CONFIG, json.dumps(adapter_config(model, settings), indent=1).encode("utf-8"))
