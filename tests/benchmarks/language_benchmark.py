"""Language identification of single sentences in 75 languages: accuracy, and texts a second on one core.

    python tests/benchmarks/language_benchmark.py [DATA_FOLDER]

A Norwegian answer `no` counts as right for `nb`, whose macro-language it is; the column "strict" does without that.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from resiliparse.parse.lang import detect_fast

from pipelines.cleaning.language import Identifier

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> None:
    folder = (Path(sys.argv[1]) if len(sys.argv) > 1 else DATA) / "langid"
    with gzip.open(folder / "lingua-sentences.tsv.gz", "rt", encoding="utf-8") as stream:
        rows = [line.rstrip("\n").split("\t", 1) for line in stream]
    identifier = Identifier()
    candidates: dict[str, Callable[[str], str | None]] = {
        "py3langid": lambda text: identifier.identify(text)[0],
        "resiliparse": lambda text: detect_fast(text)[0],
    }
    print(f"{len(rows)} sentences, {len({language for language, _ in rows})} languages")
    print("identifier   accuracy  strict  texts/s")
    for name, identify in candidates.items():
        identify(rows[0][1])
        start = time.process_time()
        found = [identify(text) for _, text in rows]
        seconds = time.process_time() - start
        wrong = Counter(
            (language, answer) for (language, _), answer in zip(rows, found, strict=True) if answer != language
        )
        strict = 1 - wrong.total() / len(rows)
        accuracy = strict + wrong["nb", "no"] / len(rows)
        print(f"{name:12} {accuracy:.4f}    {strict:.4f}  {len(rows) / seconds:.0f}")
        print("   confused most:", ", ".join(f"{a}→{b} {n}" for (a, b), n in wrong.most_common(6)))


if __name__ == "__main__":
    main()
