"""The steps of the chain: what is called for each, and how to know that it is done."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any

from flows.receipts import Receipt
from flows.registry import stage_entry
from flows.stage_request import build_request
from flows.stage_result import stage_result_json
from flows.steps import Step, Surroundings, nothing_around
from schemas.configs.base import load_config
from schemas.configs.evaluate import EvaluateConfig
from schemas.configs.finetune import FinetuneConfig
from schemas.configs.flows import (
    CorpusBuildParameters,
    EvaluateParameters,
    FinetuneParameters,
    PretrainParameters,
)
from schemas.configs.train import TrainConfig
from schemas.corpus_root import MANIFEST_NAME, CorpusRoot, PartitionKey
from schemas.manifest import fingerprint
from schemas.mixture import read_mixture
from schemas.run import latest_step, require_run
from schemas.storage import join_url, open_input
from schemas.suites import read_suite, select_tasks
from training.evaluation.clean_items import list_digests, lists_folder
from training.launch import launch_environment

__all__ = [
    "CORPUS_STAGES",
    "digest_step",
    "evaluate_step",
    "finetune_step",
    "pretrain_step",
    "report_step",
    "stage_step",
]

# In the order of the chain; those that work on one partition are told which.
CORPUS_STAGES = ("crawl", "clean", "dedup", "decontaminate", "tokenizer", "tokenize", "mix", "heldout")
# A training saves within a grace of its own, 20 s by default; Prefect's worker kills a cancelled run after 30 s.
_TRAINING_GRACE_SECONDS = 25.0
_OF_ONE_PARTITION = frozenset({"crawl", "clean", "dedup", "decontaminate", "tokenize"})


def _command(*words: str, config: str = "") -> tuple[str, ...]:
    options = ("--config", config) if config else ()
    return (sys.executable, "-m", *words, *options, "--json")


def _resume(argv: tuple[str, ...]) -> str:
    """The command of a step as a person types it."""
    return shlex.join(["corpusmill", *(word for word in argv[3:] if word != "--json")])


def _stage_flags(stage: str, parameters: CorpusBuildParameters, about: Mapping[str, Any]) -> list[str]:
    one_each = {"--source": about.get("source"), "--partition": about.get("partition")}
    many_each = {
        "--seed-url": about.get("seed_urls", ()),
        "--input": about.get("inputs", ()),
        "--set": about.get("overrides", ()),
    }
    flags = ["--root", parameters.root]
    flags += [word for flag, value in one_each.items() if value for word in (flag, value)]
    flags += [word for flag, values in many_each.items() for value in values for word in (flag, value)]
    flags += ["--runner", parameters.runner] if parameters.runner != "local" else []
    return [stage, *flags, *(["--workers", str(parameters.workers)] if parameters.workers else [])]


def stage_step(stage: str, parameters: CorpusBuildParameters, surroundings: Surroundings = nothing_around) -> Step:
    """A stage on the partition that the parameters name, or on the whole corpus where it works on that.

    Args:
        stage: one of `CORPUS_STAGES`.
        parameters: of the flow.
        surroundings: what has to be there while the stage runs; gives further arguments.
    """
    root = CorpusRoot(parameters.root)
    about: dict[str, Any] = {}
    if stage in _OF_ONE_PARTITION:
        about = {"source": parameters.source, "partition": parameters.partition}
    if stage == "crawl":
        about["seed_urls"] = parameters.seed_urls
    if stage == "clean":
        crawled = root.partition_folder("crawl", PartitionKey(parameters.source, parameters.partition))
        about["inputs"] = parameters.inputs or (() if parameters.common_crawl else (crawled.url,))
        if parameters.common_crawl:
            about["overrides"] = (f"common_crawl.base_url={parameters.common_crawl}",)
    if stage == "decontaminate":
        about["inputs"] = parameters.evaluations

    def done(_receipt: Receipt | None) -> dict[str, Any] | None:
        about_all = {**about, "workers": parameters.workers or None, "config": parameters.config}
        entry, request = stage_entry(stage), build_request(stage, parameters.root, **about_all)
        return stage_result_json(entry.run(request)) if entry.is_done(request) else None

    argv = _command("flows.cli", "run", *_stage_flags(stage, parameters, about), config=parameters.config)
    return Step(
        name=stage,
        root=root,
        partition=f"{parameters.source}/{parameters.partition}" if stage in _OF_ONE_PARTITION else "",
        argv=argv,
        resume=_resume(argv),
        done=done,
        surroundings=surroundings,
        may_be_left_out=parameters.small_corpus == "leave out",
    )


def _known(mark: str) -> Callable[[Receipt | None], dict[str, Any] | None]:
    def done(receipt: Receipt | None) -> dict[str, Any] | None:
        same = receipt is not None and receipt.fingerprint == mark and receipt.outputs_are_there()
        return receipt.result if receipt is not None and same else None

    return done


def _mark(**about: Any) -> str:
    return fingerprint({"program": version("corpusmill"), **about})


def _file_digests(urls: Iterable[str | None]) -> list[str]:
    digests = []
    for url in urls:
        if url:
            with open_input(url) as stream:
                digests.append(hashlib.blake2b(stream.read(), digest_size=32).hexdigest())
    return digests


def _trained(run: str) -> dict[str, Any]:
    about = require_run(run).model_dump(mode="json", exclude={"root", "mixture"})
    return {"run": about, "step": latest_step(run)}


def pretrain_step(parameters: PretrainParameters) -> tuple[Step, str]:
    """Training on a mixture, and the folder of the run."""
    root = CorpusRoot(parameters.root)
    config = load_config(TrainConfig, parameters.config)
    plan = read_mixture(root.mixture_folder(), parameters.mixture)
    mark = _mark(plan=plan.digest(), config=config.fingerprint_view())
    run = parameters.run or join_url(parameters.root, "runs", f"pretrain-{mark[:8]}")
    words = ("training", "train", "--root", parameters.root, "--mixture", parameters.mixture, "--run", run)
    argv = _command(*words, config=parameters.config)
    step = Step(
        name="pretrain",
        grace_seconds=_TRAINING_GRACE_SECONDS,
        root=root,
        argv=argv,
        resume=_resume(argv),
        env=launch_environment(),
        done=_known(mark),
        fingerprint=mark,
        outputs=(join_url(run, "config.json"), join_url(run, "checkpoints"), join_url(run, "metrics.jsonl")),
    )
    return step, run


def _scoring(suite_file: str, run: str, config_file: str) -> dict[str, Any]:
    """What scores of a suite depend on beside the model."""
    config = load_config(EvaluateConfig, config_file)
    suite = select_tasks(read_suite(suite_file, config.data), config.tasks, config.tags)
    return {
        "overlaps": list_digests(lists_folder(config, require_run(run), suite), suite),
        "suite": _file_digests(path for task in suite.tasks for path in task.files),
        "tasks": [
            task.model_dump(mode="json", exclude={"items": True, "examples": True, "template": {"python"}})
            for task in suite.tasks
        ],
        "config": config.fingerprint_view(),
    }


def evaluate_step(parameters: EvaluateParameters) -> Step:
    """Scoring a run's newest checkpoint."""
    mark = _mark(**_trained(parameters.run), **_scoring(parameters.suite, parameters.run, parameters.config))
    argv = _command(
        "training", "evaluate", "--run", parameters.run, "--suite", parameters.suite, config=parameters.config
    )
    return Step(
        name="evaluate",
        root=CorpusRoot(parameters.root),
        argv=argv,
        resume=_resume(argv),
        env=launch_environment(),
        done=_known(mark),
        fingerprint=mark,
        outputs=(join_url(parameters.run, "scores"),),
    )


def finetune_step(parameters: FinetuneParameters) -> tuple[Step, str]:
    """Fine-tuning a run's newest checkpoint, and the folder of the new run."""
    config = load_config(FinetuneConfig, parameters.config)
    mark = _mark(
        **_trained(parameters.run),
        pairs=_file_digests([parameters.data, parameters.test]),
        validation=_file_digests([parameters.validation]),
        scoring=_scoring(parameters.suite, parameters.run, parameters.config) if parameters.suite else None,
        config=config.fingerprint_view(),
    )
    out = parameters.out or join_url(parameters.root, "runs", f"finetune-{mark[:8]}")
    more = (("--test", parameters.test), ("--validation", parameters.validation), ("--suite", parameters.suite))
    words = ("training", "finetune", "--run", parameters.run, "--data", parameters.data, "--out", out)
    argv = _command(*words, *(word for pair in more if pair[1] for word in pair), config=parameters.config)
    step = Step(
        name="finetune",
        grace_seconds=_TRAINING_GRACE_SECONDS,
        root=CorpusRoot(parameters.root),
        argv=argv,
        resume=_resume(argv),
        env=launch_environment(),
        done=_known(mark),
        fingerprint=mark,
        outputs=(out,),
    )
    return step, out


def _corpus_mark(root: CorpusRoot, *others: str) -> str:
    places = root.folder.find(MANIFEST_NAME)
    return _mark(manifests={place: root.folder.child(place).read(MANIFEST_NAME).decode() for place in places}, o=others)


def digest_step(root_url: str) -> Step:
    """The digest of the corpus."""
    root = CorpusRoot(root_url)
    mark = _corpus_mark(root)
    argv = _command("flows.cli", "digest", root_url)
    return Step(
        name="digest",
        root=root,
        argv=argv,
        resume=_resume(argv),
        done=_known(mark),
        fingerprint=mark,
    )


def report_step(root_url: str, run: str | None, finetune_run: str | None, out: str) -> Step:
    """The report on a corpus and its runs."""
    root = CorpusRoot(root_url)
    receipts = root.folder.child("steps")
    others = [receipts.read(name).decode() for name in receipts.names() if name != "report.json"]
    mark = _corpus_mark(root, run or "", finetune_run or "", out, *others)
    flags = (("--run", run), ("--finetune-run", finetune_run))
    words = [word for flag, value in flags if value for word in (flag, value)]
    argv = _command("flows.cli", "report", root_url, "--out", out, *words)
    return Step(
        name="report",
        root=root,
        argv=argv,
        resume=_resume(argv),
        done=_known(mark),
        fingerprint=mark,
        outputs=(out,),
    )
