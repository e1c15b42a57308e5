"""Where the time of the stage `clean` goes: CPU time by step of one run in one process.

    make bench-clean ARGS=--profile

The steps are functions of the stage, each replaced by one that runs a clock around it. A step inside another one counts
for itself alone, so that the shares add up; what none of them covers is Beam's, start-up first of all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Step, module, and the name that callers look up there.
STEPS = (
    ("count items (census)", "pipelines.cleaning.stage", "take_census"),
    ("decode", "pipelines.cleaning.rows", "decode_body"),
    ("parse HTML", "pipelines.cleaning.html_page", "LexborHTMLParser"),
    ("title, date, licence", "pipelines.cleaning.html_page", "HtmlPage.facts"),
    ("main text: blocks", "pipelines.cleaning.main_text.page_blocks", "page_blocks"),
    ("main text: features", "pipelines.cleaning.main_text.model", "block_features"),
    ("main text: context", "pipelines.cleaning.main_text.model", "context_features"),
    ("main text: other", "pipelines.cleaning.rows", "extract_text"),
    ("normalize", "pipelines.cleaning.rows", "normalize"),
    ("language", "pipelines.cleaning.language", "Identifier.identify"),
    ("rules", "pipelines.cleaning.rows", "evaluate"),
    ("sentences", "pipelines.cleaning.rows", "sentence_ends"),
    ("load models and lists", "pipelines.cleaning.rows", "RowMaker.__init__"),
    ("rest of the row", "pipelines.cleaning.rows", "RowMaker.row"),
    ("rows to Arrow, spill", "pipelines.cleaning.transform", "ComputeRows._to_spill"),
    ("group, write Parquet", "pipelines.engine.write_parts", "PartWriter.write"),
)
READ = "read records"


class Clock:
    """CPU-seconds by step, each without the steps inside it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = time.process_time()

    def _mark(self) -> None:
        now = time.process_time()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def begin(self, step: str) -> None:
        self._mark()
        self._running.append(step)

    def end(self) -> None:
        self._mark()
        self._running.pop()

    def around(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            self.begin(step)
            try:
                return function(*args, **named)
            finally:
                self.end()

        return timed

    def around_each(self, step: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Of a generator: the time in it, not that of those who take from it."""

        def timed(*args: Any, **named: Any) -> Iterator[Any]:
            given = function(*args, **named)
            while True:
                self.begin(step)
                try:
                    one = next(given)
                except StopIteration:
                    return
                finally:
                    self.end()
                yield one

        return timed


def put_clocks(clock: Clock) -> None:
    """Replace the steps."""
    for step, module_name, name in STEPS:
        owner: Any = importlib.import_module(module_name)
        holder, _, attribute = name.rpartition(".")
        owner = getattr(owner, holder) if holder else owner
        around = clock.around_each if step in ("rows to Arrow, spill", "group, write Parquet") else clock.around
        setattr(owner, attribute, around(step, getattr(owner, attribute)))
    transform: Any = importlib.import_module("pipelines.cleaning.transform")
    transform.read_items = clock.around_each(READ, transform.read_items)


def run(inputs: Path, root: Path, settings: dict[str, Any]) -> tuple[Clock, float, int]:
    """Clean once: seconds by step, seconds of the whole stage, and items."""
    from pipelines.cleaning.stage import run as clean
    from pipelines.engine.settings import Engine
    from pipelines.engine.stage import StageRequest
    from schemas.configs.clean import CleanConfig
    from schemas.corpus_root import CorpusRoot

    clock = Clock()
    put_clocks(clock)
    request = StageRequest(
        root=CorpusRoot(str(root)),
        config=CleanConfig.model_validate(settings),
        inputs=(str(inputs),),
        source="s",
        partition="p",
        engine=Engine(workers=1),
    )
    started = time.process_time()
    result = clean(request)
    return clock, time.process_time() - started, result.outcomes[0].manifest.counts["items"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("settings", type=json.loads, help="of the stage, as JSON")
    given = parser.parse_args()
    clock, whole, items = run(given.inputs, given.root, given.settings)
    sys.stdout.write("| step | CPU-ms a page | share |\n|---|---:|---:|\n")
    for step, seconds in sorted(clock.seconds.items(), key=lambda one: -one[1]):
        sys.stdout.write(f"| {step} | {1000 * seconds / items:.2f} | {seconds / whole:.1%} |\n")
    rest = whole - sum(clock.seconds.values())
    sys.stdout.write(f"| Beam, start-up, all else | {1000 * rest / items:.2f} | {rest / whole:.1%} |\n")
    sys.stdout.write(f"| whole | {1000 * whole / items:.2f} | 100.0% |\n")


if __name__ == "__main__":
    main()
