"""Everything about a run that can be known, and can be wrong, before PyTorch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.configs.model import ModelConfig
from schemas.configs.train import TrainConfig
from schemas.corpus_root import CorpusRoot
from schemas.errors import ConfigError, InputError
from schemas.mixture import MixturePlan, read_mixture
from schemas.run import RunConfig, latest_step, read_run, require_same_run, write_run
from schemas.storage import Folder
from schemas.token_shard import tokenizer_fingerprint
from training.loop.schedule import BatchSchedule

__all__ = ["PreparedRun", "prepare_run"]

_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """A run that is ready to train: its folder holds `config.json` and `tokenizer.json`."""

    folder: str
    root: CorpusRoot
    plan: MixturePlan
    config: TrainConfig
    description: RunConfig
    schedule: BatchSchedule
    steps: int

    @property
    def total_tokens(self) -> int:
        """Inputs of the whole run."""
        return self.schedule.start(self.steps) * self.plan.sequence_length


def _model_config(config: TrainConfig, plan: MixturePlan) -> ModelConfig:
    if config.model.context != plan.sequence_length:
        raise ConfigError(
            f"train.model.context is {config.model.context}, and mixture {plan.name} is cut in windows of "
            f"{plan.sequence_length} tokens; set model.context={plan.sequence_length}, or mix with "
            f"sequence_length={config.model.context}"
        )
    return ModelConfig(vocabulary_size=plan.vocabulary_size, **config.model.model_dump())


def _steps(config: TrainConfig, plan: MixturePlan, schedule: BatchSchedule) -> int:
    available = schedule.whole_steps(plan.samples)
    if available == 0:
        raise ConfigError(
            f"train.batch is {config.batch} windows, and mixture {plan.name} has {plan.samples} in all; "
            "lower batch, or mix with more samples"
        )
    steps = config.steps or available
    if steps > available:
        raise ConfigError(
            f"train.steps is {steps}, and mixture {plan.name} has samples for {available}; "
            f"set steps={available} or less, or mix with more samples"
        )
    tokens = schedule.start(steps) * plan.sequence_length
    if config.warmup_tokens >= tokens:
        raise ConfigError(
            f"train.warmup_tokens is {config.warmup_tokens}, and the whole run has {tokens} tokens; "
            f"set warmup_tokens below that, for example {tokens // 20}"
        )
    return steps


def _going_on(run: str, stored: RunConfig, wanted: RunConfig, plan: MixturePlan, schedule: BatchSchedule) -> RunConfig:
    """The stored description of a run, as it is once its plan has been changed for one that goes on from it.

    The new plan begins with the samples of the old one, so the run goes on where it stands; only the number of steps
    may be another one, and the learning rate follows it from there on.
    """
    if plan.extends is None or plan.extends.digest != stored.plan_digest:
        return stored
    trained = schedule.start(latest_step(run) or 0)
    if trained > plan.extends.samples:
        raise ConfigError(
            f"{Path(run).name}: {trained} samples of mixture {plan.extends.name} were trained on, and mixture "
            f"{plan.name} goes on after {plan.extends.samples}; plan it with `--set after={trained}`"
        )
    settings = {**stored.settings, "steps": wanted.settings["steps"]}
    return stored.model_copy(update={"plan_digest": wanted.plan_digest, "settings": settings})


def prepare_run(config: TrainConfig, root_url: str, mixture: str, run: str) -> PreparedRun:
    """Read the plan, check the settings against it, and describe the run in its folder.

    Raises:
        InputError: the corpus, the mixture or its tokenizer is not there, or the tokenizer is another one.
        ConfigError: the settings do not fit the mixture, or not the run that lies in the folder already.
        OutputError: the run's folder cannot be written.
        ManifestError: the plan is damaged.
    """
    root = CorpusRoot(root_url)
    if not root.folder.exists():
        raise InputError(f"no corpus in {root_url}; give --root a folder that `corpusmill run` has written")
    if "://" in run and not run.startswith("file://"):
        raise ConfigError(f"--run {run}: a run lies on a local file system; give a path")
    plan = read_mixture(root.mixture_folder(), mixture)
    schedule = BatchSchedule(config, plan.sequence_length)
    steps = _steps(config, plan, schedule)
    settings = {key: value for key, value in config.fingerprint_view().items() if key not in {"model", "preset"}}
    description = RunConfig(
        root=root_url if "://" in root_url else str(Path(root_url).resolve()),
        mixture=mixture,
        plan_digest=plan.digest(),
        tokenizer=plan.tokenizer,
        end_of_text=plan.end_of_text,
        model=_model_config(config, plan),
        seed=config.seed,
        settings={**settings, "steps": steps},
    )
    folder = Folder(run)
    stored = read_run(run)
    if stored is not None:
        require_same_run(run, _going_on(run, stored, description, plan, schedule), description)
    tokenizer_folder = root.tokenizer_folder(plan.tokenizer)
    if not tokenizer_folder.exists(_TOKENIZER):
        raise InputError(f"no {_TOKENIZER} in {tokenizer_folder.url}; run `corpusmill run tokenizer` first")
    content = tokenizer_folder.read(_TOKENIZER)
    if tokenizer_fingerprint(content) != plan.tokenizer_fingerprint:
        raise InputError(
            f"{tokenizer_folder.url}/{_TOKENIZER} is not the one that mixture {plan.name} was planned with; "
            "restore it, or tokenize and mix anew"
        )
    folder.put_whole(_TOKENIZER, content)
    write_run(run, description)
    return PreparedRun(
        folder=folder.path(),
        root=root,
        plan=plan,
        config=config,
        description=description,
        schedule=schedule,
        steps=steps,
    )
