"""Puts adapters on models with `peft`, in a process of its own: `python peft_process.py JOB.json OUT_FOLDER`.

    {NAME: {"model": FOLDER, "adapter": FOLDER, "ids": [[…]]}}

`<OUT>/peft.safetensors` holds, by name, the logits of `ids` with the adapter beside the weights and merged by `peft`;
`<OUT>/peft.json` the names of the tensors that `peft` would save, and how far they are from those it has read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM


def main(job: str, out: str) -> None:
    """Do all of a job."""
    logits, facts = {}, {}
    for name, wanted in json.loads(Path(job).read_text(encoding="utf-8")).items():
        base = AutoModelForCausalLM.from_pretrained(wanted["model"], trust_remote_code=True)
        model = PeftModel.from_pretrained(base, wanted["adapter"]).eval()
        ids = torch.tensor(wanted["ids"])
        read, kept = load_file(Path(wanted["adapter"]) / "adapter_model.safetensors"), get_peft_model_state_dict(model)
        facts[name] = {
            "names": sorted(kept),
            "difference": max(float((kept[key] - read[key]).abs().max()) for key in kept),
            "class": type(base).__name__,
        }
        with torch.no_grad():
            logits[f"{name} beside"] = model(ids).logits
            with model.disable_adapter():
                logits[f"{name} without"] = model(ids).logits
            logits[f"{name} merged"] = model.merge_and_unload()(ids).logits
    save_file({name: tensor.contiguous() for name, tensor in logits.items()}, Path(out) / "peft.safetensors")
    (Path(out) / "peft.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
