"""The worker process of a local pipeline: Beam's own SDK harness, tied to the run that owns it.

Started by the runner as `python -m pipelines.engine.worker`, never by hand.
"""

from __future__ import annotations

import logging
import sys

from pipelines.engine.lifeline import watch_owner
from schemas.process_exit import leave

__all__ = ["main"]


def main() -> None:
    """Watch the owner, then serve bundles until the runner ends the control channel."""
    watch_owner()
    # The harness logs some twenty lines a worker below ERROR, none of which a user can act on, and at ERROR the
    # traceback that it sends to the run as well.
    logging.disable(logging.ERROR)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
    leave(0)


if __name__ == "__main__":
    main()
