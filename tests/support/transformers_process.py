"""Runs `transformers` in a process of its own: `python transformers_process.py JOB.json OUT_FOLDER`.

A job makes GPT-2 models of random weights in folders, and loads folders; of each it writes what a model gives.

    {"make": {NAME: {"folder": …, "config": {…}, "shard": "50KB" | null, "ids": [[…]], "start": […], "new": 9}},
     "load": {NAME: {"folder": …, "code": true, "ids": [[…]], "start": […], "new": 9, "padded": [[…], …], "text": …}}}

`<OUT>/logits.safetensors` holds the logits of `ids` by name, `<OUT>/facts.json` the class, the greedy continuation of
`start` with and without a cache, of each row of `padded` in one batch padded on the left, and the ids of `text`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel


def _greedy(model: Any, start: list[int], new: int, **settings: Any) -> list[int]:
    ids = torch.tensor([start])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, **settings)
    return out[0, len(start) :].tolist()


def _greedy_batch(model: Any, rows: list[list[int]], new: int) -> list[list[int]]:
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=new)
    return out[:, longest:].tolist()


def _refusal(model: Any, start: list[int], new: int) -> str:
    try:
        _greedy(model, start, new, cache_implementation="static")
    except TypeError as error:
        return str(error)
    return ""


def _facts(model: Any, wanted: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    model = model.float().eval()
    ids = torch.tensor(wanted["ids"])
    with torch.no_grad():
        result = model(ids, labels=ids)
    facts: dict[str, Any] = {
        "class": type(model).__name__,
        "loss": result.loss.item(),
        "greedy": _greedy(model, wanted["start"], wanted["new"]),
        "greedy without cache": _greedy(model, wanted["start"], wanted["new"], use_cache=False),
    }
    if "beams" in wanted:
        beams = wanted["beams"]
        facts["beams"] = _greedy(model, wanted["start"], wanted["new"], num_beams=beams)
        facts["beams without cache"] = _greedy(model, wanted["start"], wanted["new"], num_beams=beams, use_cache=False)
        sums = {"num_beams": beams, "length_penalty": 0.0, "early_stopping": "never"}
        facts["likeliest of beams"] = _greedy(model, wanted["start"], wanted["new"], **sums)
        facts["refusal"] = _refusal(model, wanted["start"], wanted["new"])
    if "padded" in wanted:
        facts["padded"] = _greedy_batch(model, wanted["padded"], wanted["new"])
        facts["alone"] = [_greedy(model, row, wanted["new"]) for row in wanted["padded"]]
    return result.logits, facts


def _made(wanted: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**wanted["config"]))
    sharded = {"max_shard_size": wanted["shard"]} if wanted["shard"] else {}
    model.save_pretrained(wanted["folder"], **sharded)
    return model


def main(job: str, out: str) -> None:
    """Do all of a job."""
    jobs = json.loads(Path(job).read_text(encoding="utf-8"))
    logits, facts = {}, {}
    for name, wanted in jobs["make"].items():
        logits[name], facts[name] = _facts(_made(wanted), wanted)
    for name, wanted in jobs["load"].items():
        model = AutoModelForCausalLM.from_pretrained(wanted["folder"], trust_remote_code=wanted["code"])
        dtype = str(model.dtype)
        logits[name], facts[name] = _facts(model, wanted)
        tokenizer = AutoTokenizer.from_pretrained(wanted["folder"])
        facts[name] |= {
            "dtype": dtype,
            "text ids": tokenizer(wanted["text"])["input_ids"],
            "end": tokenizer.eos_token_id,
        }
    save_file({name: tensor.contiguous() for name, tensor in logits.items()}, Path(out) / "logits.safetensors")
    (Path(out) / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
