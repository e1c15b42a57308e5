"""`make prove gpt2-parity`: GPT-2's ids by the fastest path against tokenizers and tiktoken, on all of the test data.

Every file below `../shared/data`, archives unpacked, whole; all assigned code points in three surroundings; random
bytes; runs of up to a million characters. Prints how many texts and tokens were equal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken
from tokenizers import Tokenizer

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = REPOSITORY.parent / "shared" / "data"
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]

from gpt2_texts import data_texts, noise_texts, run_texts, unicode_texts  # noqa: E402

from pipelines.tokens.byte_level import byte_alphabet, split_long  # noqa: E402
from pipelines.tokens.encoding import END_OF_TEXT, TextEncoder  # noqa: E402
from pipelines.tokens.load_tokenizer import load_tokenizer  # noqa: E402

_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


def main() -> int:
    if not DATA.is_dir():
        print(f"no test data in {DATA}", file=sys.stderr)
        return 1
    content = load_tokenizer(str(DATA / "gpt2"), "gpt2", END_OF_TEXT, ())
    ours, reference = TextEncoder(content, path="gigatoken"), Tokenizer.from_str(content.decode())
    reference.encode_special_tokens = True
    alphabet = byte_alphabet()
    vocabulary = json.loads((DATA / "gpt2" / "encoder.json").read_text())
    ranks = {bytes(alphabet[c] for c in token): n for token, n in vocabulary.items() if token != END_OF_TEXT}
    encoding = tiktoken.Encoding("gpt2", pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    sources: list[tuple[str, Any]] = [
        ("test data", data_texts(DATA)),
        ("Unicode", unicode_texts()),
        ("random bytes", noise_texts()),
        ("runs", run_texts()),
    ]
    for name, texts in sources:
        count = tokens = refused = 0
        for text in texts:
            (ids,) = ours.encode([text])
            # In pieces the reference needs less memory; where a piece ends, so does a word.
            pieces = [text] if len(text) <= 2**20 else list(split_long(text))
            wanted = [n for piece in pieces for n in reference.encode(piece, add_special_tokens=False).ids]
            if not np.array_equal(ids, wanted):
                print(f"other ids than tokenizers: {text[:80]!r}", file=sys.stderr)
                return 1
            try:
                other = encoding.encode_to_numpy(text, disallowed_special=())
            except ValueError:
                refused += 1
            else:
                if not np.array_equal(ids, other):
                    print(f"other ids than tiktoken: {text[:80]!r}", file=sys.stderr)
                    return 1
            count, tokens = count + 1, tokens + len(ids)
        print(f"{name}: {count} texts, {tokens:,} tokens, all ids equal ({refused} texts that tiktoken does not take)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
