"""`python -m training`; see `training.cli`."""

from __future__ import annotations

import sys

from schemas.process_exit import leave
from training.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    code = main()
    leave(code)
    sys.exit(code)
