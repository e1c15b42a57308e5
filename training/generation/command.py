"""`generate`: go on from a prompt, token by token, or from all prompts of a file."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schemas.configs.base import load_config
from schemas.configs.generate import GenerateConfig
from schemas.records import fill_template, read_records
from schemas.run import require_run
from schemas.tasks import Pair, read_rows

if TYPE_CHECKING:
    from training.checkpoints import LoadedModel

__all__ = ["add_arguments", "few_shot_prompt", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `generate`."""
    parser.add_argument("--run", required=True, metavar="DIR", help="a training or fine-tuning run")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--prompt", metavar="TEXT", help="what the text begins with; may be empty")
    given.add_argument("--prompts", metavar="FILE", help='JSONL of {"prompt"} or Parquet; writes a JSON line for each')
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint to use; the newest where not given")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="tokens to generate at most")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 takes the likeliest token every time")
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest tokens")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw among the likeliest tokens that make up P")
    parser.add_argument("--seed", type=int, metavar="N", help="equal seeds give equal texts")
    parser.add_argument("--beams", type=int, metavar="N", help="search for the likeliest text, N at once; GPT-3's is 4")
    parser.add_argument("--length-penalty", type=float, metavar="A", help="of beam search; 0.6 where not given")
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


def _prompts(arguments: argparse.Namespace, config: GenerateConfig) -> list[str]:
    """All prompts, with the examples before each."""
    examples = read_rows(arguments.examples, Pair) if arguments.examples else []
    given = [arguments.prompt]
    if arguments.prompts:
        given = [fill_template(config.template, record) for record in read_records(arguments.prompts)]
    return [few_shot_prompt(examples, prompt, config) for prompt in given]


def _texts(loaded: LoadedModel, prompts: list[str], config: GenerateConfig) -> Iterator[dict[str, Any]]:
    """A row for each prompt."""
    from training.generation.texts import write_texts

    for prompt, text in zip(prompts, write_texts(loaded, prompts, config), strict=True):
        yield {"prompt": prompt, "prompt_tokens": text.prompt_tokens, "text": text.text, "tokens": text.tokens}


def _streamed(loaded: LoadedModel, prompt: str, config: GenerateConfig, quiet: bool) -> dict[str, Any]:
    """The row of one prompt, whose text goes to stdout while it is drawn."""
    from training.generation.stream import generate_ids, stream_text
    from training.generation.texts import start_of

    start, ids, pieces = start_of(loaded, prompt), [], []

    def kept() -> Iterator[int]:
        for token in generate_ids(loaded.model, start, config, loaded.end_of_text):
            ids.append(token)
            yield token

    for piece in stream_text(kept(), loaded.tokenizer, config.stop):
        pieces.append(piece)
        if not quiet:
            sys.stdout.write(piece)
            sys.stdout.flush()
    return {"prompt": prompt, "prompt_tokens": len(start), "text": "".join(pieces), "tokens": len(ids)}


def _write(
    arguments: argparse.Namespace, loaded: LoadedModel, prompts: list[str], config: GenerateConfig
) -> list[dict[str, Any]]:
    """The rows of all prompts; to stdout, too, unless only one JSON object is wanted there."""
    quiet = arguments.json
    if arguments.prompts:
        rows = []
        for row in _texts(loaded, prompts, config):
            rows.append(row)
            if not quiet:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
                sys.stdout.flush()
        return rows
    if config.beams == 1:
        rows = [_streamed(loaded, prompts[0], config, quiet)]
    else:
        rows = list(_texts(loaded, prompts, config))
        sys.stdout.write("" if quiet else rows[0]["text"])
    sys.stdout.write("" if quiet else "\n")
    return rows


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
        beams=arguments.beams,
        length_penalty=arguments.length_penalty,
        stop=arguments.stop,
        separator=arguments.separator,
    )
    prompts = _prompts(arguments, config)
    require_run(arguments.run)
    from training.checkpoints import load_model

    loaded = load_model(arguments.run, arguments.step)
    began = time.perf_counter()
    rows = _write(arguments, loaded, prompts, config)
    seconds = time.perf_counter() - began
    tokens = sum(row["tokens"] for row in rows)
    speed = {"seconds": round(seconds, 3), "tokens_per_second": round(tokens / seconds, 1)}
    if not arguments.json:
        sys.stderr.write(
            f"{tokens} tokens in {seconds:.2f} s: {tokens / seconds:.1f} tokens/s, prompts read included\n"
        )
        return {}
    about = {"command": "generate", "run": arguments.run, "step": loaded.step, **speed}
    return {**about, "texts": rows, "tokens": tokens} if arguments.prompts else {**about, **rows[0]}
