"""From what a backfill was asked for to requests of stages, and to the command that does one unit."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flows.backfill.names import expand, fill_in
from flows.stage_request import stage_config
from pipelines.cleaning.lists.list_files import LIST_PREFIX
from pipelines.engine.settings import Engine, default_workers
from pipelines.engine.stage import StageRequest
from schemas.catalog import manifest_of
from schemas.configs.decontaminate import DecontaminateConfig
from schemas.corpus_root import CorpusRoot, PartitionKey
from schemas.errors import ConfigError
from schemas.ledger import BACKFILL_STAGES, Backfill
from schemas.manifest import fingerprint

__all__ = ["CHAIN", "Asked"]

# What `corpus` takes a partition through, in this order.
CHAIN = ("clean", "dedup", "decontaminate", "tokenize")


def _of_stage(overrides: Sequence[str], stage: str) -> list[str]:
    """The overrides of one stage of the chain, without its name before them."""
    return [one.removeprefix(f"{stage}.") for one in overrides if one.startswith(f"{stage}.")]


@dataclass(frozen=True)
class Asked:
    """A backfill of a corpus, checked.

    Attributes:
        root: the corpus.
        backfill: what was asked for.
    """

    root: CorpusRoot
    backfill: Backfill

    def __post_init__(self) -> None:
        """Refuse what cannot be done before anything is begun.

        Raises:
            ConfigError: an unknown stage or setting, a range that cannot be read, what another stage wants.
            InputError: the settings cannot be read.
        """
        about = self.backfill
        if about.stage not in BACKFILL_STAGES:
            raise ConfigError(
                f"a backfill goes over partitions, and {about.stage!r} is no stage that does; give one of "
                f"{', '.join(BACKFILL_STAGES)}"
            )
        if about.seed_urls and about.stage != "crawl":
            raise ConfigError(f"--seed-url is for crawl only, and the stage is {about.stage}; leave it out")
        if about.evaluations and about.stage not in ("corpus", "decontaminate"):
            raise ConfigError(f"--evaluation is for decontaminate and corpus, not for {about.stage}; leave it out")
        if about.inputs and about.stage not in ("corpus", "clean"):
            raise ConfigError(f"--input is for clean and corpus, not for {about.stage}; leave it out")
        if about.stage == "corpus":
            for one in about.overrides:
                if one.split("=")[0].split(".")[0] not in (*CHAIN, "tokenizer"):
                    raise ConfigError(
                        f"--set {one}: say whose setting it is, as in clean.{one}; the stages of corpus are "
                        f"{', '.join((*CHAIN, 'tokenizer'))}"
                    )
        for stage in self.stages:
            self.config(stage)
        assert self.keys

    @cached_property
    def keys(self) -> list[PartitionKey]:
        """The partitions, as they were given."""
        return expand(self.backfill.source, self.backfill.partitions)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages that each partition goes through; no decontamination where nothing is to be looked for."""
        if self.backfill.stage != "corpus":
            return (self.backfill.stage,)
        config = self.config("decontaminate")
        assert isinstance(config, DecontaminateConfig)
        looks = bool(self.backfill.evaluations or config.evaluations)
        return tuple(stage for stage in CHAIN if looks or stage != "decontaminate")

    def _overrides(self, stage: str) -> list[str]:
        given = self.backfill.overrides
        return _of_stage(given, stage) if self.backfill.stage == "corpus" else list(given)

    def config(self, stage: str, seed_urls: Sequence[str] = ()) -> Any:
        """The settings of a stage.

        Raises:
            ConfigError: an unknown key or a wrong value.
            InputError: the file cannot be read.
        """
        about = self.backfill
        return stage_config(stage, about.config, self._overrides(stage), about.seed, seed_urls)

    def inputs(self, stage: str, key: PartitionKey, root: CorpusRoot | None = None) -> tuple[str, ...]:
        """What a stage reads for a partition beside the corpus.

        Where clean is given nothing, that is the crawl of the same partition, and where there is none, the files that
        its documents were made of.
        """
        about = self.backfill
        if stage == "decontaminate":
            return about.evaluations
        if stage != "clean":
            return ()
        if about.inputs or self._reads_common_crawl:
            return tuple(fill_in(one, key) for one in about.inputs)
        looked_at = root or self.root
        made = manifest_of(looked_at, "documents", key)
        if made is None or manifest_of(looked_at, "crawl", key) is not None:
            return (self.root.partition_folder("crawl", key).url,)
        return tuple(one.name for one in made.inputs if not one.name.startswith(LIST_PREFIX))

    @cached_property
    def _reads_common_crawl(self) -> bool:
        return self.backfill.source == "common_crawl" or self.config("clean").common_crawl is not None

    @cached_property
    def _requests(self) -> dict[str, StageRequest[Any]]:
        return {}

    def request(self, stage: str, key: PartitionKey, root: CorpusRoot | None = None) -> StageRequest[Any]:
        """The request of a stage for one partition; all of a stage share one config, so that it is hashed once.

        Args:
            stage: which one.
            key: the partition.
            root: another look at the same corpus.
        """
        if stage not in self._requests:
            config = self.config(stage)
            self._requests[stage] = StageRequest(root=self.root, config=config, engine=Engine(), source=key.source)
        made = self._requests[stage]
        if stage == "crawl" and self.backfill.seed_urls:
            made = replace(made, config=self.config(stage, [fill_in(one, key) for one in self.backfill.seed_urls]))
        inputs = self.inputs(stage, key, root)
        return replace(made, root=root or self.root, source=key.source, partition=key.partition, inputs=inputs)

    def digest(self, stage: str) -> str:
        """Changes whenever a unit of the stage is asked for in another way: earlier failures say nothing then."""
        about = self.backfill
        given = {"clean": about.inputs, "decontaminate": about.evaluations, "crawl": about.seed_urls}
        return fingerprint([self.config(stage).fingerprint_view(), given.get(stage, ())])[:16]

    def argv(self, stage: str, key: PartitionKey | None) -> list[str]:
        """The command that does a unit; of the whole corpus where no partition is given."""
        about = self.backfill
        words = [sys.executable, "-m", "flows.cli", "run", stage, "--root", self.root.url]
        if key is not None:
            words += ["--source", key.source, "--partition", key.partition]
            words += [word for one in self.inputs(stage, key) for word in ("--input", one)]
        if stage == "crawl":
            words += [word for one in about.seed_urls for word in ("--seed-url", fill_in(one, key) if key else one)]
        words += [word for one in self._overrides(stage) for word in ("--set", one)]
        words += ["--config", about.config] if about.config else []
        words += ["--seed", str(about.seed)] if about.seed is not None else []
        words += ["--runner", about.runner] if about.runner != "local" else []
        return [*words, *self._workers(), "--json"]

    def _workers(self) -> list[str]:
        about = self.backfill
        if about.workers is not None:
            return ["--workers", str(about.workers)]
        if about.runner != "local":
            return []
        return ["--workers", str(max(1, default_workers() // about.max_active))]

    def command(self, verb: str) -> str:
        """What a person types about this backfill."""
        about = self.backfill
        words = ["corpusmill", "backfill", verb, about.stage, "--root", self.root.url]
        return shlex.join([*words, "--source", about.source, "--partitions", about.partitions])
