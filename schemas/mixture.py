"""A mixture plan: which windows of which sources a training run sees. Immutable once written.

Window i of a source is T inputs from token i·T of its stream and labels one further; the stream of a source is its
partitions' shards joined in plan order. A plan pins every shard by digest, so it means the same tokens for ever.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import InputError, ManifestError
from schemas.foreign_text import parse_json
from schemas.manifest import fingerprint
from schemas.storage import Folder

__all__ = [
    "Extended",
    "IndexRef",
    "MixturePlan",
    "Phase",
    "ShardRef",
    "SourceShare",
    "SourceStream",
    "read_mixture",
    "write_mixture",
]

MIXTURE_VERSION = 2


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardRef(_Record):
    """One shard, pinned."""

    path: str = Field(description="relative to the corpus root")
    tokens: int = Field(gt=0)
    checksum: str = Field(description="the shard header's checksum")


class IndexRef(_Record):
    """The index of one partition's stream, pinned; those of a source are in the order of its shards."""

    path: str = Field(description="relative to the corpus root")
    documents: int = Field(ge=0)
    tokens: int = Field(ge=0, description="of the stream that it covers")
    checksum: str = Field(description="BLAKE2b-256 of the file's bytes")


class SourceStream(_Record):
    """The tokens of one source in one split."""

    source: str
    tokens: int = Field(ge=0)
    utf8_bytes: int = Field(ge=0, description="UTF-8 bytes of the texts behind the tokens, for bits per byte")
    documents: int = Field(ge=0)
    shards: tuple[ShardRef, ...]
    indexes: tuple[IndexRef, ...] = ()

    def windows(self, sequence_length: int) -> int:
        """Whole windows of T inputs and one label further; a tail under T+1 tokens is lost once per source."""
        return max(0, (self.tokens - 1) // sequence_length)

    def tail(self, sequence_length: int) -> int:
        """Tokens that are the input of no window; the first of them is the last window's label."""
        return self.tokens - self.windows(sequence_length) * sequence_length


class SourceShare(_Record):
    """How many samples of a phase come from one source."""

    source: str
    weight: float = Field(ge=0, description="as asked for, normalized")
    samples: int = Field(ge=0, description="exact, by largest remainder")
    windows: int = Field(ge=0, description="of the source when the phase was planned")

    @property
    def epochs(self) -> float:
        """How often a window comes on average."""
        return self.samples / self.windows if self.windows else 0.0


class Phase(_Record):
    """A stretch of training with fixed shares; `samples` of the `planned` ones are taken before the next phase."""

    samples: int = Field(gt=0)
    planned: int = Field(gt=0, description="what the shares add up to")
    shares: tuple[SourceShare, ...]


class Extended(_Record):
    """The plan that another one goes on from, after so many of its samples."""

    name: str
    digest: str
    samples: int = Field(ge=0)


class MixturePlan(_Record):
    """See the module's text."""

    schema_version: int = MIXTURE_VERSION
    name: str
    tokenizer: str
    tokenizer_fingerprint: str
    vocabulary_size: int
    end_of_text: int
    sequence_length: int = Field(gt=0)
    seed: int
    train: tuple[SourceStream, ...]
    validation: tuple[SourceStream, ...]
    test: tuple[SourceStream, ...]
    phases: tuple[Phase, ...]
    extends: Extended | None = None

    def digest(self) -> str:
        """Digest of everything that decides which tokens come in which order; the plan's name does not."""
        return fingerprint(self.model_dump(mode="json", exclude={"name"}))

    @property
    def samples(self) -> int:
        """Windows in all phases together."""
        return sum(phase.samples for phase in self.phases)


def write_mixture(folder: Folder, plan: MixturePlan) -> None:
    """Write a plan as `<name>.json`, whole."""
    folder.put_whole(f"{plan.name}.json", plan.model_dump_json(indent=1).encode("utf-8"))


def read_mixture(folder: Folder, name: str) -> MixturePlan:
    """Read a plan.

    Raises:
        InputError: there is no plan of this name.
        ManifestError: the plan is damaged or of a version this code does not read.
    """
    where = f"{folder.url}/{name}.json"
    if not folder.exists(f"{name}.json"):
        there = ", ".join(n.removesuffix(".json") for n in folder.names()) or "none"
        raise InputError(f"no mixture {name!r} in {folder.url} (there: {there}); run `corpusmill run mix` first")
    try:
        content = parse_json(folder.read(f"{name}.json"))
        if content.get("schema_version") != MIXTURE_VERSION:
            raise ManifestError(
                f"{where} has version {content.get('schema_version')}, this program reads {MIXTURE_VERSION}"
            )
        return MixturePlan.model_validate(content)
    except (ValueError, AttributeError) as error:  # a ValidationError is a ValueError
        raise ManifestError(f"{where} is damaged: {error}; write it again under another name") from error
