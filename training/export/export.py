"""Writing the model of a run as a folder that `transformers` loads.

    <out>/config.json             the shape, with where it comes from under the key `corpusmill`
          model.safetensors       weights under GPT-2's names; several files and an index where they are large
          tokenizer.json          the run's own, with tokenizer_config.json
          generation_config.json  which id ends a text
          modeling_corpusmill.py  for banded models: the model in the terms of `transformers`
          README.md               the model card

A folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError

from schemas.configs.export import ExportConfig
from schemas.errors import OutputError
from schemas.storage import Folder
from training.checkpoints import LoadedModel, load_model
from training.checkpoints.loading import TOKENIZER_NAME
from training.export.card_facts import read_facts
from training.export.gpt2_config import CONFIG_NAME, MODELING_MODULE, config_of, has_bands, require_plain
from training.export.gpt2_names import theirs_of
from training.export.model_card import CARD_NAME, model_card
from training.export.weight_files import write_weights

__all__ = ["ExportResult", "export_run"]

_MARK = "corpusmill"
_MODELING = Path(__file__).with_name("modeling_corpusmill.py.txt")


class ExportResult(BaseModel):
    """What was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    step: int
    out: str
    layout: str
    parameters: int
    files: tuple[str, ...]


def _require_free(out: Path) -> None:
    """Check that nothing but an earlier export would be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        ours = _MARK in json.loads((out / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        ours = False
    if not ours:
        raise OutputError(f"--out {out} holds other files than an export; give a folder that is empty or not there")


def _tokenizer_config(loaded: LoadedModel) -> dict[str, Any]:
    end = loaded.tokenizer.id_to_token(loaded.end_of_text)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end,
        "eos_token": end,
        "pad_token": end,
        "model_max_length": loaded.model_config.context,
        "clean_up_tokenization_spaces": False,
    }


def _put_json(folder: Path, name: str, content: dict[str, Any]) -> str:
    (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return name


def _write(folder: Path, loaded: LoadedModel, config: ExportConfig, layout: str, run: str) -> list[str]:
    model, end = loaded.model_config, loaded.end_of_text
    dtype = torch.float32 if config.precision == "fp32" else torch.bfloat16
    state = {name: tensor.detach().cpu() for name, tensor in loaded.model.state_dict().items()}
    tensors = ((name, tensor.to(dtype)) for name, tensor in theirs_of(state, model))
    files = write_weights(folder, tensors, config.shard_bytes)
    (folder / TOKENIZER_NAME).write_bytes(Folder(run).read(TOKENIZER_NAME))
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    files += [
        TOKENIZER_NAME,
        _put_json(folder, "tokenizer_config.json", _tokenizer_config(loaded)),
        _put_json(folder, "generation_config.json", ids),
    ]
    if layout == "corpusmill":
        (folder / f"{MODELING_MODULE}.py").write_text(_MODELING.read_text(encoding="utf-8"), encoding="utf-8")
        files.append(f"{MODELING_MODULE}.py")
    card = model_card(read_facts(run, loaded.step, layout))
    (folder / CARD_NAME).write_text(card, encoding="utf-8")
    files.append(CARD_NAME)
    origin = {"run": Path(run).name, "step": loaded.step, "plan_digest": loaded.run.plan_digest}
    files.append(_put_json(folder, CONFIG_NAME, {**config_of(model, end, layout, config.precision), _MARK: origin}))
    return sorted(files)


def export_run(run: str, out: str, config: ExportConfig) -> ExportResult:
    """Write the model of a run into `out`, in place of an earlier export.

    Raises:
        InputError: no run, no checkpoint, or no checkpoint of this step.
        ConfigError: the layout is `gpt2` and the model has banded layers.
        OutputError: `out` holds something else, or cannot be written.
        CheckpointError: the checkpoint is damaged.
    """
    target = Path(out)
    _require_free(target)
    loaded = load_model(run, config.step)
    if config.layout == "gpt2":
        require_plain(loaded.model_config)
    layout = config.layout
    if layout == "auto":
        layout = "corpusmill" if has_bands(loaded.model_config) else "gpt2"
    temporary = target.resolve().with_name(f".{target.resolve().name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = _write(temporary, loaded, config, layout, run)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write export {out}: {error}; free some space or give another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ExportResult(
        run=run,
        step=loaded.step,
        out=out,
        layout=layout,
        parameters=loaded.model_config.num_parameters(),
        files=tuple(files),
    )
