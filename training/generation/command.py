"""`generate`: go on from a prompt, token by token."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from schemas.configs.base import load_config
from schemas.configs.generate import GenerateConfig
from schemas.run import require_run
from schemas.tasks import Pair, read_rows

__all__ = ["add_arguments", "few_shot_prompt", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `generate`."""
    parser.add_argument("--run", required=True, metavar="DIR", help="a training or fine-tuning run")
    parser.add_argument("--prompt", required=True, metavar="TEXT", help="what the text begins with; may be empty")
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint to use; the newest where not given")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="tokens to generate at most")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 takes the likeliest token every time")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest tokens")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw among the likeliest tokens that make up P")
    parser.add_argument("--seed", type=int, metavar="N", help="equal seeds give equal texts")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end before this text; may be given often")
    parser.add_argument("--examples", metavar="FILE", help='JSONL of {"prompt", "answer"} to stand before the prompt')
    parser.add_argument("--separator", metavar="S", help="between examples, and before the prompt")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with a table [generate]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as max_tokens=200")
    parser.epilog = 'example: python -m training generate --run runs/first --prompt "class Path" --max-tokens 100'


def few_shot_prompt(examples: list[Pair], prompt: str, config: GenerateConfig) -> str:
    """The examples with their answers, then the prompt."""
    shown = [f"{example.prompt}{config.delimiter}{example.answer}" for example in examples]
    return config.separator.join([*shown, prompt])


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the text to stdout as it comes (with `--json`, only into the result); gives the command's JSON result."""
    config = load_config(
        GenerateConfig,
        arguments.config,
        arguments.set,
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
        stop=arguments.stop,
        separator=arguments.separator,
    )
    examples = read_rows(arguments.examples, Pair) if arguments.examples else []
    prompt = few_shot_prompt(examples, arguments.prompt, config)
    require_run(arguments.run)
    from training.checkpoints import load_model
    from training.generation.stream import generate_ids, stream_text
    from training.generation.tokens import encode

    loaded = load_model(arguments.run, arguments.step)
    start = [loaded.end_of_text, *encode(loaded.tokenizer, prompt)]
    ids = generate_ids(loaded.model, start, config, loaded.end_of_text)
    pieces = []
    for piece in stream_text(ids, loaded.tokenizer, config.stop):
        pieces.append(piece)
        if not arguments.json:
            sys.stdout.write(piece)
            sys.stdout.flush()
    if not arguments.json:
        sys.stdout.write("\n")
        return {}
    return {
        "command": "generate",
        "run": arguments.run,
        "step": loaded.step,
        "prompt": prompt,
        "prompt_tokens": len(start),
        "text": "".join(pieces),
    }
