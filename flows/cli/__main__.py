"""`python -m flows.cli`, the same as `corpusmill`."""

from __future__ import annotations

import sys

from flows.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
