"""What a process that trains should be started with, and starting many that train together."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Sequence

__all__ = ["launch_environment", "run_ranks"]

# Beyond the grace that a rank takes for itself.
_LATER_SECONDS = 10


def launch_environment() -> dict[str, str]:
    """Environment variables for a training process on a CPU, to be set before it starts.

    By default glibc gives every large buffer back to the system and gets it again, zeroed page by page, a moment
    later; keeping the memory made a step of a 4-layer model 1.4 times as fast on two cores. And by default a thread
    that is done first waits for the others in a busy loop of up to 300,000 turns. With 10,000 a step of the demo's
    model took 1.5 s instead of 3.8 s (medians of 30) on two cores that other processes wanted as well, and the same
    0.37 s on two free ones (17 and 16 steps); with none 1.0 s, but 0.40 s on free cores.
    """
    return {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36), "GOMP_SPINCOUNT": "10000"}


def _this_module() -> list[str]:
    """The words after `python -m` of this process, up to its command."""
    words = sys.orig_argv[sys.orig_argv.index("-m") + 1 :] if "-m" in sys.orig_argv else []
    return words[: words.index("train")] if "train" in words else ["training"]


def run_ranks(count: int, arguments: Sequence[str], grace_seconds: float) -> int:
    """Run the module that this process runs as so many ranks on this machine, by the launcher that `torchrun` has.

    Args:
        count: of processes.
        arguments: of the command.
        grace_seconds: that a rank has to end when it is asked to.

    Returns:
        The exit code: 0, or that of the rank that failed first.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What it would say about ranks that fail or are stopped, they have said better.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        shutdown_timeout=int(grace_seconds) + _LATER_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", *_this_module(), *arguments)
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 1
    except SignalException:
        return 1
    return 0
