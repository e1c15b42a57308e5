from __future__ import annotations

from pathlib import Path

import pytest
from token_corpus import PANICKING_TOKENIZER

from schemas.errors import InputError, ManifestError
from training.checkpoints import load_model, load_tokenizer, untrained_model


def test_no_run_no_model(run_folder: str) -> None:
    for load in (load_model, untrained_model):
        with pytest.raises(InputError, match=r"no training run in .*run \(it has no config\.json\)"):
            load(run_folder)


def test_a_tokenizer_that_is_missing_or_damaged_is_named(run_folder: str) -> None:
    with pytest.raises(InputError, match=r"has no tokenizer\.json; run `corpusmill train"):
        load_tokenizer(run_folder)
    Path(run_folder).mkdir()
    for content in ("{", PANICKING_TOKENIZER):
        (Path(run_folder) / "tokenizer.json").write_text(content)
        with pytest.raises(ManifestError, match=r"tokenizer\.json is no tokenizer: "):
            load_tokenizer(run_folder)
