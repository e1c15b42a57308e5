"""What a process that trains should be started with."""

from __future__ import annotations

__all__ = ["launch_environment"]


def launch_environment() -> dict[str, str]:
    """Environment variables for a training process on a CPU, to be set before it starts.

    By default glibc gives every large buffer back to the system and gets it again, zeroed page by page, a moment
    later; keeping the memory made a step of a 4-layer model 1.4 times as fast on two cores. And by default a thread
    that is done first waits for the others in a busy loop of up to 300,000 turns. With 10,000 a step of the demo's
    model took 1.5 s instead of 3.8 s (medians of 30) on two cores that other processes wanted as well, and the same
    0.37 s on two free ones (17 and 16 steps); with none 1.0 s, but 0.40 s on free cores.
    """
    return {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**36), "GOMP_SPINCOUNT": "10000"}
