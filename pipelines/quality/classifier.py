"""The frozen classifier: its file, and the score of a text.

The file is Arrow IPC with one column `weight` (float32, a row for each bucket); what else is needed stands in the
schema's metadata under `classifier`, as JSON. The fingerprint is that of the metadata and of the weights' bytes, so it
is the same whatever version of Arrow wrote the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.quality.features import Weighting, hashed_words, weigh
from schemas.errors import ContractError, InputError
from schemas.identity import length_prefixed
from schemas.storage import open_input

__all__ = ["Classifier", "read_classifier"]

_VERSION = 1
_KEY = b"classifier"


@dataclass(frozen=True, eq=False)
class Classifier:
    """Weights of the buckets and what a text is hashed with.

    Attributes:
        weights: float32, 2^bits of them.
        bias: of the logistic regression.
        bits: as in `features.hashed_words`.
        seed: as in `features.hashed_words`.
        weighting: as in `features.weigh`.
    """

    weights: NDArray[np.float32]
    bias: float
    bits: int
    seed: int
    weighting: Weighting

    def score(self, text: str) -> float:
        """How much a text is like the trusted ones, 0 to 1, as a float32.

        Texts are scored one by one and the terms are added up exactly (`math.fsum`), so neither the company of other
        texts nor the order of terms changes a bit of it.
        """
        hashed = hashed_words(text, self.bits, self.seed)
        terms = self.weights[hashed.buckets] * weigh(hashed.counts, self.weighting)
        margin = math.fsum([self.bias, *terms.tolist()])
        # `exp` of a large number would overflow, of a very negative one it is 0.
        likely = 1.0 / (1.0 + math.exp(-margin)) if margin > -700.0 else 0.0
        return float(np.float32(likely))

    def _metadata(self) -> str:
        about = {
            "version": _VERSION,
            "bias": self.bias,
            "bits": self.bits,
            "seed": self.seed,
            "weighting": self.weighting,
        }
        return json.dumps(about, sort_keys=True)

    @cached_property
    def fingerprint(self) -> str:
        """BLAKE2b-256 of everything that a score depends on, in hexadecimal."""
        weights = self.weights.astype("<f4").tobytes()
        return hashlib.blake2b(length_prefixed(self._metadata().encode(), weights), digest_size=32).hexdigest()

    def to_bytes(self) -> bytes:
        """The file."""
        metadata = {_KEY: self._metadata().encode(), b"fingerprint": self.fingerprint.encode()}
        schema = pa.schema([pa.field("weight", pa.float32(), nullable=False)], metadata=metadata)
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(pa.table([pa.array(self.weights)], schema=schema))
        return sink.getvalue()


def _about(metadata: dict[bytes, bytes] | None, url: str) -> dict[str, Any]:
    about = json.loads((metadata or {}).get(_KEY, b"{}"))
    version = about.get("version")
    if version is None:
        raise InputError(f"{url} is no classifier; give the model.arrow that `corpusmill run quality` writes")
    if version != _VERSION:
        raise InputError(
            f"{url} is a classifier of version {version}, this program reads {_VERSION}; train it again with "
            "`corpusmill run quality`"
        )
    return cast(dict[str, Any], about)


def read_classifier(url: str, fingerprint: str | None = None) -> Classifier:
    """Read a classifier.

    Args:
        url: its file.
        fingerprint: what it has to have, where that is known.

    Raises:
        InputError: the file is missing, is no classifier or one of another version, or has another fingerprint.
        ContractError: it was damaged.
    """
    with open_input(url) as stream:
        content = stream.read()
    try:
        table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{url} is no classifier ({error}); give the model.arrow that `corpusmill run quality` writes"
        ) from error
    about = _about(table.schema.metadata, url)
    found = Classifier(
        weights=table.column("weight").to_numpy(),
        bias=about["bias"],
        bits=about["bits"],
        seed=about["seed"],
        weighting=about["weighting"],
    )
    if len(found.weights) != 2**found.bits or table.schema.metadata[b"fingerprint"] != found.fingerprint.encode():
        raise ContractError(f"{url} was damaged or changed after it was written; restore it or train it again")
    if fingerprint is not None and found.fingerprint != fingerprint:
        raise InputError(
            f"{url} has fingerprint {found.fingerprint[:16]}…, expected {fingerprint[:16]}…: it is another classifier "
            "than the one that was used; restore that one, or clean again with this one"
        )
    return found
