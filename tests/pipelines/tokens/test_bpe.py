from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines.tokens.bpe import Fertility, fertility, longest_tokens, train_tokenizer
from pipelines.tokens.encoding import TextEncoder

_TRAIN = """
import hashlib, sys
from pathlib import Path
from pipelines.tokens.bpe import train_tokenizer
texts = Path(sys.argv[1]).read_text(encoding="utf-8").split("\\0")
print(hashlib.sha256(train_tokenizer(texts, 1000)).hexdigest())
"""


def test_few_texts_give_fewer_merges_than_asked_for() -> None:
    encoder = TextEncoder(train_tokenizer(["abab ab", "cd"], 50_000))
    # 256 bytes; "ab" (three times in the words "abab" and " ab") and nothing that occurs twice beside it; end of text.
    assert encoder.vocabulary_size == 258
    assert encoder.end_of_text == 257
    assert encoder.token_bytes[256] == b"ab"


def test_no_texts_give_the_bytes_alone() -> None:
    assert TextEncoder(train_tokenizer([], 1000)).vocabulary_size == 257


def test_order_of_texts_and_number_of_threads_make_no_difference(
    book: Callable[[str], list[str]], tmp_path: Path
) -> None:
    texts = book("aesop-s-fables.md")[:400]
    shuffled = list(texts)
    random.Random(7).shuffle(shuffled)
    assert train_tokenizer(texts, 1000) == train_tokenizer(shuffled, 1000)
    found = set()
    for number, (order, threads) in enumerate([(texts, "1"), (shuffled, "4")]):
        path = tmp_path / f"{number}.txt"
        path.write_text("\0".join(order), encoding="utf-8")
        env = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        command = [sys.executable, "-c", _TRAIN, str(path)]
        found.add(subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout)
    assert len(found) == 1


def test_fertility_counts_words_tokens_and_bytes() -> None:
    encoder = TextEncoder(train_tokenizer([], 257))
    measured = fertility(encoder, "web", ["äb c", "d"])
    assert measured == Fertility("web", None, documents=2, words=3, tokens=6, utf8_bytes=6)
    assert measured.row()["tokens_per_word"] == 2.0
    assert measured.row()["bytes_per_token"] == 1.0
    assert fertility(encoder, "none", []).row()["tokens_per_word"] == 0.0


def test_longest_tokens_come_first() -> None:
    encoder = TextEncoder(train_tokenizer(["-----  ----- ----- word word word"] * 4, 300))
    longest = list(longest_tokens(encoder, 2))
    assert longest[0] == " -----"
    assert len(longest) == 2
