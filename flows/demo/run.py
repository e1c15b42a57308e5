"""The demo: the flow `pipeline` on real pages, with a Prefect server of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.demo.display import open_display
from flows.demo.origin import Origin, origin_of
from flows.demo.settings import check_settings, demo_settings, write_settings
from flows.prefect_server import close_interrupted_runs, start_server, ui_command, use_server
from flows.run_log import open_run_log
from flows.stage_request import require_writable
from flows.steps import LOGGER, StepResult
from schemas.configs.flows import PipelineParameters
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import OutputError
from schemas.lease import hold_lease

__all__ = ["INPUT_VARIABLE", "DemoOptions", "run_demo"]

INPUT_VARIABLE = "CORPUS_INPUT"
_SUMMARY = "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What the user gave."""

    root: str | None = None
    workers: int | None = None
    config: str | None = None
    overrides: Sequence[str] = ()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parameters(options: DemoOptions) -> tuple[PipelineParameters, Origin]:
    """Everything that can be wrong, checked in the first second; writes the settings beside the corpus."""
    origin = origin_of(os.environ.get(INPUT_VARIABLE))
    settings = demo_settings(options.config, options.overrides)
    check_settings(settings, origin.seed_urls)
    given = options.root or origin.default_root
    if "://" in given:
        raise OutputError(f"--root {given}: the demo keeps its corpus on this machine; give a folder")
    root = str(Path(given).resolve())
    require_writable(CorpusRoot(root))
    parameters = PipelineParameters(
        root=root,
        source=origin.source,
        partition=origin.partition,
        seed_urls=origin.seed_urls,
        inputs=origin.inputs,
        workers=options.workers or 0,
        config=write_settings(CorpusRoot(root), settings),
        small_corpus="leave out",
    )
    return parameters, origin


def _run_flow(parameters: PipelineParameters, home: Path) -> list[StepResult]:
    started = time.monotonic()
    LOGGER.info("begun", extra={"event": "begin", "step": "prefect"})
    server = start_server(home)
    use_server(home, server.url)
    # Two seconds of imports, while the server starts on the other core.
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.pipeline import pipeline

    server.require_up()
    close_interrupted_runs()
    ready = StepResult(step="prefect", status="done", result={"url": server.url}, seconds=time.monotonic() - started)
    LOGGER.info("ready", extra={"event": "end", "step": "prefect", "outcome": ready})
    # Heartbeats tell a server that outlives a flow that the flow has died. Ours does not, and each flow would wait a
    # second for its heart to stop.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return pipeline(parameters)


def _summary(parameters: PipelineParameters, results: list[StepResult], seconds: float) -> dict[str, Any]:
    by_name = {result.step: result.result for result in results}
    pretrain, finetune = by_name.get("pretrain", {}), by_name.get("finetune", {})
    return {
        "root": parameters.root,
        "report": by_name.get("report", {}).get("report"),
        "digest": by_name.get("digest", {}).get("digest"),
        "run": pretrain.get("run"),
        "steps": pretrain.get("steps"),
        "loss": pretrain.get("loss"),
        "validation_loss": pretrain.get("validation_loss"),
        "scores": by_name.get("evaluate", {}).get("scores", []),
        "finetune_run": finetune.get("run"),
        "finetune_loss": finetune.get("loss"),
        "finetune_scores": finetune.get("scores", {}),
        "seconds": round(seconds, 1),
        "chain": [{key: value for key, value in asdict(one).items() if key != "result"} for one in results],
    }


def _sample(run: str | None) -> str | None:
    if run is None:
        return None
    lines = (Path(run) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1])
    return f"{last['prompt']}{last['text']}".strip()


def _show(summary: dict[str, Any], home: Path) -> None:
    sample = _sample(summary["run"])
    if sample:
        _say("\nThe model writes:\n")
        _say("\n".join(f"    {line}" for line in sample.splitlines()))
    _say(f"\nDone in {summary['seconds']:.0f} s. Report: {summary['report']}")
    _say(f"Prefect UI: run the next line and open http://127.0.0.1:4200\n    {ui_command(home)}")


def run_demo(options: DemoOptions) -> dict[str, Any]:
    """Run the chain to its end, or go on where an earlier call was interrupted; gives what `demo.json` says.

    Raises:
        UserError: something that was given is wrong.
        StageError: a step failed.
        LeaseError: another demo runs in the same corpus.
    """
    started = time.monotonic()
    parameters, origin = _parameters(options)
    root = CorpusRoot(parameters.root)
    home = Path(parameters.root) / ".prefect"
    with (
        hold_lease(root, "demo", PartitionKey(parameters.source, parameters.partition)),
        open_run_log(root, command="demo"),
        open_display(),
    ):
        _say(f"corpusmill demo: {' '.join(origin.seed_urls or origin.inputs)} → {parameters.root}")
        results = _run_flow(parameters, home)
    summary = _summary(parameters, results, time.monotonic() - started)
    root.folder.put_whole(_SUMMARY, json.dumps(summary, indent=1).encode("utf-8"))
    _show(summary, home)
    return summary
