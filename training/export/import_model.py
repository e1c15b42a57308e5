"""Taking over a GPT-2 model in Hugging Face's layout as a run, which `evaluate`, `generate` and `finetune` accept."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer
from torch import Tensor

from schemas.configs.model import ModelConfig
from schemas.errors import InputError
from schemas.library_errors import reason_of
from schemas.run import RunConfig, checkpoint_folder, read_run, require_same_run, write_run
from schemas.storage import Folder
from training.checkpoints import CheckpointState, save
from training.checkpoints.loading import TOKENIZER_NAME
from training.export.gpt2_config import CONFIG_NAME, model_of, read_config
from training.export.gpt2_names import PREFIX, ours_of, pairs_of_names
from training.export.weight_files import read_weights
from training.loop.interruption import hold_run
from training.model.gpt import GPT

__all__ = ["ImportResult", "import_model"]

_HEAD = "lm_head.weight"
# Masks that old files carry; they hold no trained weight.
_MASKS = (".attn.bias", ".attn.masked_bias")


class ImportResult(BaseModel):
    """What was taken over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    parameters: int
    context: int
    layers: int
    width: int
    vocabulary: int
    padding_rows: int
    status: str


def _read_tokenizer(folder: Path, given: str | None) -> tuple[Tokenizer, str]:
    path = Path(given) if given else folder / TOKENIZER_NAME
    if not path.is_file():
        raise InputError(
            f"no tokenizer in {path}; name its {TOKENIZER_NAME} with --tokenizer (`AutoTokenizer.from_pretrained(…)"
            ".save_pretrained(FOLDER)` writes one)"
        )
    try:
        text = path.read_text(encoding="utf-8")
        return Tokenizer.from_str(text), text
    except BaseException as error:  # the library raises bare Exceptions for a damaged file, and panics
        reason = reason_of(error)
        raise InputError(f"{path} is no tokenizer: {reason}; give the {TOKENIZER_NAME} of this model") from error


def _end_of_text(content: dict[str, Any], tokenizer: Tokenizer, where: Path) -> int:
    given = content.get("eos_token_id")
    if not isinstance(given, int) or tokenizer.id_to_token(given) is None:
        raise InputError(
            f"{where}: eos_token_id is {given!r}, which the tokenizer does not have; set it to the id that ends a "
            "document"
        )
    return given


def _unprefixed(tensors: dict[str, Tensor], where: Path) -> dict[str, Tensor]:
    """Tensors by names without prefix; an output matrix of its own is refused, masks are left out."""
    named = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if not name.endswith(_MASKS)}
    head = named.pop(_HEAD, None)
    embedding = named.get("wte.weight")
    if head is not None and (embedding is None or not head.equal(embedding)):
        raise InputError(
            f"{where}: {_HEAD} differs from the embedding, and in our model they are one; it cannot be taken over"
        )
    return named


def _shapes(model: ModelConfig, rows: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor; `Conv1D` has its inputs first."""
    width = model.width
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(pairs_of_names(model.layers).values(), (width,))
    linear = {
        "attn.c_attn": (width, 3 * width),
        "attn.c_proj": (width, width),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }
    for layer in range(model.layers):
        for kind, shape in linear.items():
            shapes[f"h.{layer}.{kind}.weight"] = shape
            shapes[f"h.{layer}.{kind}.bias"] = shape[1:]
    return {**shapes, "wte.weight": (rows, width), "wpe.weight": (model.context, width)}


def _require_shapes(tensors: dict[str, Tensor], model: ModelConfig, rows: int, where: Path) -> None:
    wanted = _shapes(model, rows)
    missing, strange = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or strange:
        raise InputError(
            f"{where}: {len(missing)} tensors are missing ({', '.join(missing[:3])}) and {len(strange)} are strange "
            f"({', '.join(strange[:3])}); give the weights of a GPT-2 language model"
        )
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise InputError(
                f"{where}: {name} has shape {tuple(tensors[name].shape)}, and {CONFIG_NAME} asks for {shape}; "
                "give the weights of this configuration"
            )


def _digest(state: dict[str, Tensor]) -> str:
    hashed = hashlib.blake2b(digest_size=32)
    for name in sorted(state):
        hashed.update(name.encode("utf-8"))
        hashed.update(state[name].contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _write(out: str, description: RunConfig, tokenizer: str, state: dict[str, Tensor]) -> None:
    folder = Folder(out)
    folder.put_whole(TOKENIZER_NAME, tokenizer.encode("utf-8"))
    write_run(out, description)
    model = GPT(description.model, description.seed)
    model.load_state_dict(state)
    save(out, CheckpointState(step=0, tokens=0, plan_digest="", data={}, seed=description.seed), model)


def import_model(source: str, out: str, tokenizer: str | None = None) -> ImportResult:
    """Write a run of one checkpoint, of step 0, from a Hugging Face folder.

    Ids that the weights have rows for and the tokenizer has not are padding: their rows are left out. A model that
    `corpusmill export` wrote is taken back, banded ones too.

    Args:
        source: a folder with `config.json` and safetensors.
        out: the run's folder; the same model may lie in it already.
        tokenizer: a `tokenizer.json`, where the folder has none.

    Raises:
        InputError: something is missing or damaged, or our model cannot be this one.
        ConfigError: `out` holds another run.
        OutputError: `out` cannot be written.
        LeaseError: another process works in `out`.
    """
    folder = Path(source)
    content = read_config(folder)
    reader, text = _read_tokenizer(folder, tokenizer)
    model = model_of(content, str(folder / CONFIG_NAME), reader.get_vocab_size())
    end = _end_of_text(content, reader, folder / CONFIG_NAME)
    tensors = _unprefixed(read_weights(folder), folder)
    _require_shapes(tensors, model, int(content["vocab_size"]), folder)
    state = ours_of(tensors, model)
    description = RunConfig(
        kind="import",
        root="",
        mixture="",
        plan_digest="",
        tokenizer=folder.resolve().name,
        end_of_text=end,
        model=model,
        seed=0,
        settings={"weights": _digest(state)},
    )
    stored = read_run(out)
    if stored is not None:
        require_same_run(out, stored, description)
    Folder(out).make()
    with hold_run(out):
        done = stored is not None and checkpoint_folder(out, 0).is_dir()
        if not done:
            _write(out, description, text, state)
    return ImportResult(
        run=out,
        parameters=model.num_parameters(),
        context=model.context,
        layers=model.layers,
        width=model.width,
        vocabulary=model.vocabulary_size,
        padding_rows=int(content["vocab_size"]) - model.vocabulary_size,
        status="imported before" if done else "imported",
    )
