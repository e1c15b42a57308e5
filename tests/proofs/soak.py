"""`make prove soak`: an hour of small backfills, trainings, cancels and full disks, while things are killed at random.

The corpus lies on an S3 server behind a proxy that lets requests get lost. Every round is drawn from a seed: a new
partition is cleaned and deduplicated by Prefect's worker while a process of it is killed; a training or a corpus build
is cancelled, or one of its processes is killed; a corpus is built on a disk that is full. After each round nothing of
it may run on. At the end the corpus has to have the digest of one that was made of the same pages undisturbed in files,
no process may be left, and the memory of the server and its worker has to have stayed. Prints the table for
docs/proofs.md and draws `soak.png`; `--minutes` makes it shorter.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import psutil
from fault_proxy import FaultProxy, fault_proxy
from flink_chain import write_pages
from kill_matrix import LEVELS, end_level, make_corpus, start_corpus, start_training, wait_for_nothing
from prefect_services import Said, Services
from processes import command_of, wait_until
from s3_server import s3_environment, s3_server
from soak_watch import MemoryWatch, draw, watch_memory

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BUCKET, SHARE, PAGES = "soak", 0.03, 8
UP = ("port=0", "heartbeat_seconds=30", "lost_after_seconds=60", "gpu_slots=1", "grace_seconds=5")
CLEAN = ("--set", "rules=[]", "--set", "extractor=resiliparse")
# Prefect's worker leaves a cancelled run so long.
CANCEL_SECONDS, TRIES = 30.0, 6
KINDS = {"backfill": 5, "training": 2, "corpus build": 2, "full disk": 1}
DISK_MB = 24
# Of the last quarter of the time over the second one; the first one loads what is used later.
FLAT = 1.15


def say(text: str) -> None:
    """Show progress and results as they come."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Soak:
    """Everything that goes on, and what came of it."""

    def __init__(self, folder: Path, services: Services, proxy: FaultProxy, watch: MemoryWatch, seed: int) -> None:
        self.folder, self.services, self.proxy, self.watch = folder, services, proxy, watch
        self.random = random.Random(seed)
        self.root = f"s3://{BUCKET}/corpus"
        self.pages = sorted((write_pages(DATA, folder / "pages") / "html").rglob("*.html"))
        self.training_root, self.config = make_corpus(services, DATA, folder)
        self.partitions: list[str] = []
        self.counts: Counter[str] = Counter()
        self.left = 0

    def backfill(self, verb: str, stage: str, root: str, *more: str, partitions: str = "") -> Said:
        """A command about partitions of the corpus; the last one where none is named."""
        where = ["--root", root, "--source", "web", "--partitions", partitions or self.partitions[-1]]
        return self.services.call("backfill", verb, stage, *where, *more)

    def new_partition(self) -> None:
        """The next pages of a site, of which some were in the one before."""
        number = len(self.partitions)
        self.partitions.append(f"day-{number:04d}")
        folder = self.folder / "days" / self.partitions[-1]
        folder.mkdir(parents=True)
        for place in range(PAGES):
            page = self.pages[(number * (PAGES - 2) + place) % len(self.pages)]
            shutil.copy(page, folder / f"{place}-{page.name}")

    def kill_something(self, stage: str) -> str:
        """SIGKILL a process of the run of a stage, or the worker; says which."""
        words = (f"flows.cli run {stage} ", self.root)

        def commands() -> list[psutil.Process]:
            lines = ((one, command_of(one)) for one in self.services.processes())
            return [one for one, line in lines if all(word in line for word in words) and "supervisor.py" not in line]

        try:
            command = wait_until(commands, f"a run of {stage}", 60)[0]
            time.sleep(self.random.uniform(0, 3))
            chain = [command, command.parent(), command.parent().parent()]
            outer = psutil.Process(self.services.daemon("worker-1"))
            victim = self.random.choice([*chain, *command.children(recursive=True), *outer.children()])
            what = "supervisor" if "supervisor.py" in command_of(victim) else "process"
            victim.kill()
        except (AssertionError, psutil.Error, AttributeError):
            return "nothing"  # it was done before
        self.watch.kills.append(self.watch.minutes())
        self.counts["kills"] += 1
        return what

    def round_of_backfill(self) -> str:
        """A new partition through two stages; gives what happened."""
        self.new_partition()
        told = []
        for stage, more in (("clean", ("--input", f"{self.folder}/days/{{partition}}", *CLEAN)), ("dedup", ())):
            said = self.backfill("run", stage, self.root, *more, "--retry-wait", "1", "--json")
            killed = self.kill_something(stage) if said.code == 0 and self.random.random() < 0.6 else "nothing"
            told.append(f"{stage}, {killed} killed")
            for _ in range(TRIES):
                said = self.backfill("resume", stage, self.root, "--wait", "--json")
                counts = said.json().get("counts", {}) if said.out.strip() else {}
                if counts == {"done": 1}:
                    break
                self.counts["resumed"] += 1
                self.backfill("retry", stage, self.root)
            else:
                raise SystemExit(f"{stage} of {self.partitions[-1]} does not end: {said.out[-1500:]}{said.err[-1500:]}")
        return "; ".join(told)

    def round_of_a_kill(self, kind: str) -> str:
        """A training or a corpus build, one level of which is ended."""
        name = f"{kind.replace(' ', '-')}-{self.counts['rounds']}"
        if kind == "training":
            run = start_training(self.services, self.training_root, self.folder / name, self.config)
        else:
            run = start_corpus(self.services, self.folder / name, DATA / "warc", self.config)
        level = self.random.choice([*LEVELS, "cancelled"])
        number = self.random.choice(LEVELS[level])
        end_level(self.services, run, level, number)
        self.watch.kills.append(self.watch.minutes())
        self.counts["cancels" if number is None else "kills"] += 1
        seconds = wait_for_nothing(run, level, CANCEL_SECONDS)
        if level in {"command", "supervisor"}:
            end_level(self.services, run, "cancelled", None)
        ended = {"CANCELLED", "COMPLETED", "CRASHED", "FAILED"}
        wait_until(lambda: self.services.state(run.id)["type"] in ended, "the end of a run", 600)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return f"{'cancelled' if number is None else f'{number.name} of the {level}'}, gone after {seconds:.1f} s"

    def round_of_full_disk(self) -> str:
        """A corpus on a disk that has no room is refused in a line, and made once there is room."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], check=True)
        try:
            ballast = disk / "ballast"
            ballast.write_bytes(b"\0" * (DISK_MB * 2**20 - 2**16))
            words = ("run", "clean", "--root", f"{disk}/corpus", "--source", "web", "--partition", "1", *CLEAN)
            said = self.services.call(*words, "--input", str(DATA / "warc"))
            lines = [line for line in said.err.splitlines() if line.startswith("corpusmill: ")]
            if said.code != 2 or len(lines) != 1 or "Traceback" in said.err:
                raise SystemExit(f"a full disk: exit code {said.code}: {said.err[-2000:]}")
            ballast.unlink()
            again = self.services.call(*words, "--input", str(DATA / "warc"))
            if again.code:
                raise SystemExit(f"after the disk was full: {again.err[-2000:]}")
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        return "refused in a line, then made"

    def go_on(self, minutes: float) -> None:
        """Rounds until the time is over."""
        say("| round | minute | what | | seconds |\n|---:|---:|---|---|---:|")
        while self.watch.minutes() < minutes:
            self.counts["rounds"] += 1
            kind = self.random.choices(list(KINDS), list(KINDS.values()))[0]
            began, minute = time.monotonic(), self.watch.minutes()
            if kind == "backfill":
                told = self.round_of_backfill()
            elif kind == "full disk":
                told = self.round_of_full_disk()
            else:
                told = self.round_of_a_kill(kind)
            self.counts[kind] += 1
            say(f"| {self.counts['rounds']} | {minute:.1f} | {kind} | {told} | {time.monotonic() - began:.0f} |")

    def digest(self, root: str) -> str:
        """Of a corpus."""
        said = self.services.call("digest", root)
        assert said.code == 0, said.err
        return said.out.split()[-1]

    def same_undisturbed(self) -> bool:
        """Whether a corpus of the same pages, made in files and left alone, has the same digest."""
        plain, whole = str(self.folder / "undisturbed"), f"{self.partitions[0]}..{self.partitions[-1]}"
        for stage, more in (("clean", ("--input", f"{self.folder}/days/{{partition}}", *CLEAN)), ("dedup", ())):
            said = self.backfill("run", stage, plain, *more, "--local", "--json", partitions=whole)
            assert said.code == 0, said.err
        expected, found = self.digest(plain), self.digest(self.root)
        say(f"\n{len(self.partitions)} partitions: undisturbed digest `{expected}`, disturbed digest `{found}`")
        return expected == found


def report(soak: Soak, same: bool, orphans: int) -> bool:
    """Print the figures; gives whether all is as it has to be."""
    counts, proxy, flat = soak.counts, soak.proxy, True
    say(f"{counts['rounds']} rounds: " + ", ".join(f"{counts[kind]} {kind}" for kind in KINDS))
    say(f"{counts['kills']} kills, {counts['cancels']} cancels, {counts['resumed']} backfills resumed once more")
    failed, requests = sum(proxy.failed.values()), sum(proxy.requests.values())
    say(f"{requests:,} requests to S3, of which {failed:,} went wrong on purpose; {orphans} processes left")
    say("\n| memory, MB, mean of | first quarter | second | third | last | largest |\n|---|---:|---:|---:|---:|---:|")
    for name, points in soak.watch.seen.items():
        quarters = soak.watch.quarters(name)
        flat &= quarters[3] <= FLAT * quarters[1]
        largest = max(megabytes for _, megabytes in points)
        say(f"| {name} | {' | '.join(f'{one:.0f}' for one in quarters)} | {largest:.0f} |")
    return same and flat and not orphans


def main() -> int:
    """Prove it in a temporary folder, which stays where something failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=20261130)
    parser.add_argument("--picture", type=Path, default=Path("soak.png"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="corpusmill-soak-"))
    say(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.0f}, seed {options.seed}\n")  # fmt: skip
    with ExitStack() as stack:
        endpoint = stack.enter_context(s3_server(BUCKET))
        proxy = stack.enter_context(fault_proxy(endpoint, share=SHARE, seed=options.seed))
        services = Services(folder / "home", UP, s3_environment(proxy.url), folder)
        services.up()
        try:
            with watch_memory(services) as watch:
                soak = Soak(folder, services, proxy, watch, options.seed)
                soak.go_on(options.minutes)
            same = soak.same_undisturbed()
        finally:
            services.down()
        time.sleep(1)
        passed = report(soak, same, len(services.processes()))
    draw(watch, options.picture)
    if passed:
        shutil.rmtree(folder)
        return 0
    say(f"\nnot proven; see {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
