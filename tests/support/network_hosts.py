"""Two hosts in one machine: each a network of its own, with a name, an address, and a cable between them.

Linux network namespaces, as `ip netns` makes them; needs root. What runs on a host sees the same files and processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NetworkHost", "two_hosts", "why_no_hosts"]

# Each namespace has its own /etc/hosts there.
_NAMES = Path("/etc/netns")
_INTERFACE = "eth0"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def why_no_hosts() -> str:
    """Why this machine cannot have them; nothing where it can."""
    if shutil.which("ip") is None:
        return "no program ip (package iproute2)"
    probe = f"corpusmill-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
    except subprocess.CalledProcessError as error:
        return f"this machine allows no network namespaces: {error.stderr.strip()}"
    _ip("netns", "delete", probe)
    return ""


@dataclass(frozen=True)
class NetworkHost:
    """One of them."""

    name: str
    address: str

    def command(self, words: Sequence[str]) -> list[str]:
        """A command, to be run on this host."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "sh"]
        return ["ip", "netns", "exec", self.name, *named, *words]

    def processes(self) -> list[int]:
        """Those that run on it."""
        told = subprocess.run(["ip", "netns", "pids", self.name], check=True, capture_output=True, text=True)
        return [int(word) for word in told.stdout.split()]

    def cut_off(self) -> None:
        """Pull its cable."""
        _ip("-n", self.name, "link", "set", _INTERFACE, "down")


@contextmanager
def two_hosts() -> Iterator[tuple[NetworkHost, NetworkHost]]:
    """Have them while the body runs; what still runs on them then is killed."""
    hosts = tuple(NetworkHost(f"host{number}-{os.getpid()}", f"10.77.0.{number}") for number in (1, 2))
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
            folder = _NAMES / host.name
            folder.mkdir(parents=True)
            lines = ["127.0.0.1 localhost", *(f"{one.address} {one.name}" for one in hosts)]
            (folder / "hosts").write_text("\n".join(lines) + "\n")
        ends = [part for host in hosts for part in ("name", _INTERFACE, "netns", host.name)]
        _ip("link", "add", *ends[:4], "type", "veth", "peer", *ends[4:])
        for host in hosts:
            _ip("-n", host.name, "link", "set", "lo", "up")
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", _INTERFACE)
            _ip("-n", host.name, "link", "set", _INTERFACE, "up")
            # As docs/training.md advises: a connection that was cut is given up in seconds, not in a quarter of an hour
            subprocess.run(host.command(["sh", "-c", "echo 5 > /proc/sys/net/ipv4/tcp_retries2"]), check=True)
        yield hosts
    finally:
        for host in hosts:
            for process in _left(host):
                os.kill(process, 9)
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)
            shutil.rmtree(_NAMES / host.name, ignore_errors=True)


def _left(host: NetworkHost) -> list[int]:
    try:
        return host.processes()
    except subprocess.CalledProcessError:  # it was never made
        return []
