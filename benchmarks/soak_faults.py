"""A soak with a fault every few seconds: does a run of a master and two workers hold whatever breaks around it?

Faults come in turn, each on one of six things: the bank freezes or is killed, the detector freezes or is
killed, the broker stands still, a worker freezes or is killed with -9 (another takes its place), the disk
refuses what the simulator writes, the clock of the machine jumps by an hour.  What must hold afterwards:
the run ended by itself with its report; every transaction that was offered is accounted for; no account
differs from what the bank acknowledged; and the memory of the master and of the worker that lives
throughout does not climb.  Exit code 1 when one of these does not hold.

The disk refuses by a limit on the size of files (RLIMIT_FSIZE), the clock jumps by a `sitecustomize` in
front of every `time.time`, so nothing outside these processes is touched.

    python benchmarks/soak_faults.py [--minutes 15] [--every 10] [--tps 60]
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from soak import Sample, slope_per_s

from tests.integration.cluster import STEADY, Cluster, cluster
from tests.services.sandbox import Server

#: What memory may climb in the second half, for each transaction: what climbs less is filling its bounds.
MAX_BYTES_PER_TRANSACTION = 1_000.0
SPEED = 60.0
OFF_S = 3.0
HOUR_S = 3600.0
#: From the end of simulated time: draining (calls time out), balances, report.
ENDS_WITHIN_S = 120.0

_CLOCK = """\
import mmap, struct, time
with open({path!r}, "rb") as file:
    shift = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
true_time = time.time
time.time = lambda: true_time() + struct.unpack("d", shift[:])[0]
"""
_BROKER = """\
import sys
from banksim.kafka.client import EmbeddedBroker
broker = EmbeddedBroker()
print(broker.start(), flush=True)
sys.stdin.read()
"""


@dataclass
class Soaked:
    """What a run left: exit code, results, what it said, faults by name, memory by process.

    ``booked`` is how often the bank's own ledger has each transaction.
    """

    code: int
    results: dict[str, Any]
    said: str
    booked: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[Sample]] = field(default_factory=dict)

    @property
    def unaccounted(self) -> int:
        """Offered, and neither ended nor counted as left in flight by a worker that was lost."""
        counts = self.results["transactions"]
        ended = sum(counts[name] for name in ("completed", "failed", "unknown", "dropped"))
        return int(counts["offered"] - ended - self.left_in_flight)

    @property
    def left_in_flight(self) -> int:
        return sum(row["in_flight"] for row in self.results["run"]["workers"])

    @property
    def may_be_booked(self) -> tuple[int, int]:
        """The least and the most bookings that agree with the results.

        The least are those that the bank accepted.  Booked may also be what nobody answered, what a lost worker left
        in flight, and what it sent between its last report and its death (of that only the rate is known).
        """
        counts = self.results["transactions"]
        least = counts["completed"] - counts["refused"]
        unreported = sum(round(row["not_offered"]) for row in self.results["run"]["workers"])
        return least, least + counts["unknown"] + self.left_in_flight + unreported

    def climb_bytes(self, name: str) -> float:
        """Bytes for each transaction of the run, by the straight line through the second half."""
        samples = self.memory[name]
        tps = self.results["transactions"]["offered"] / samples[-1].wall_s
        return slope_per_s(samples[len(samples) // 2 :]) * 1e6 / tps


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def faults(
    found: Cluster, bank: Server, detector: Server, broker: int, clock: Path
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and deeds, in turn and for ever; a deed returns when its fault is over."""

    def away(server: Server) -> None:
        server.kill()
        time.sleep(OFF_S)
        server.start()

    def still(pid: int) -> None:
        with frozen(pid):
            time.sleep(OFF_S)

    def replace() -> None:
        found.workers[-1].kill()
        time.sleep(OFF_S)
        found.add_worker()

    def refuse() -> None:
        alive = [process for process in (found.master, *found.workers) if process.poll() is None]
        for process in alive:
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))
        time.sleep(OFF_S)
        for process in alive:
            unlimited = (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY)
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, unlimited)

    def jump() -> None:
        for shift_s in (HOUR_S, -HOUR_S, 0.0):
            with clock.open("r+b") as file:  # in place: the clock's readers have it mapped
                file.write(struct.pack("d", shift_s))
            time.sleep(OFF_S / 2)

    for turn in itertools.count():
        rough = turn % 2 == 1
        yield "bank", lambda rough=rough: away(bank) if rough else still(bank.pid)
        yield "detector", lambda rough=rough: away(detector) if not rough else still(detector.pid)
        yield "broker", lambda: still(broker)
        yield "worker", lambda rough=rough: still(found.workers[-1].pid) if rough else replace()
        yield "disk", refuse
        yield "clock", jump


def soak(folder: Path, wall_s: float, every_s: float, tps: float) -> Soaked:
    """One run of ``wall_s`` seconds with a fault every ``every_s``.  Raises when it does not end."""
    clock = folder / "clock"
    clock.write_bytes(struct.pack("d", 0.0))
    (folder / "sitecustomize.py").write_text(_CLOCK.format(path=str(clock)))
    scenario = STEADY.format(hours=wall_s * SPEED / 3600.0, speed=SPEED, tps=tps).replace(
        "timeout_seconds: 5", "timeout_seconds: 2"
    )
    with ExitStack() as stack:
        bank = stack.enter_context(Server("bank", "--database", str(folder / "bank.db")))
        detector = stack.enter_context(Server("detector"))
        broker = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", _BROKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        assert broker.stdout is not None
        options = ["--nexum-url", bank.url, "--bastion-url", detector.url, "--transaction-log"]
        options += ["--kafka-servers", broker.stdout.readline().strip()]
        path = os.pathsep.join([str(folder), str(Path(__file__).resolve().parents[1])])
        with mock.patch.dict(os.environ, PYTHONPATH=path):
            found = stack.enter_context(cluster(folder, scenario, *options, workers=2))
            found.wait_for("Transactions are generated by 2 workers", timeout_s=90)
            soaked = Soaked(-1, {}, "")
            watched = {"master": found.master.pid, "worker": found.workers[0].pid}
            soaked.memory = {name: [] for name in watched}
            origin_s = time.monotonic()
            over = threading.Event()

            def look() -> None:
                while not over.wait(wall_s / 240.0) and time.monotonic() - origin_s < wall_s:
                    for name, pid in watched.items():
                        try:
                            rss_mb = psutil.Process(pid).memory_info().rss / 1e6
                        except psutil.NoSuchProcess:
                            return
                        if not rss_mb:  # ended, and not yet waited for
                            return
                        soaked.memory[name].append(Sample(time.monotonic() - origin_s, rss_mb))

            looking = threading.Thread(target=look)
            looking.start()
            try:
                deeds = faults(found, bank, detector, broker.pid, clock)
                for number, (name, deed) in enumerate(deeds, 1):
                    due_s = number * every_s
                    if due_s + 2 * OFF_S > wall_s:
                        break
                    time.sleep(max(0.0, origin_s + due_s - time.monotonic()))
                    deed()
                    soaked.faults[name] += 1
                soaked.code = found.wait_for_the_end(wall_s + ENDS_WITHIN_S - (time.monotonic() - origin_s))
            finally:
                over.set()
                looking.join()
            ledger = sqlite3.connect(folder / "bank.db")
            asked = "SELECT reference FROM postings WHERE reference NOT LIKE 'opening-%'"
            soaked.booked = Counter(reference for (reference,) in ledger.execute(asked))
            ledger.close()
            soaked.said = found.said()
            assert list(found.folder.glob("out/*/results.json")), (
                f"no results (exit code {soaked.code}):\n{soaked.said}"
            )
            soaked.results = found.results()
            assert (found.run_folder() / "report.html").stat().st_size > 100_000
    return soaked


def verdicts(soaked: Soaked) -> dict[str, bool]:
    """What must hold, in words, and whether it does; memory is judged apart."""
    balances = soaked.results["reconciliation"]
    least, most = soaked.may_be_booked
    return {
        f"it ended by itself, with exit code {soaked.code} and its report": soaked.code in (0, 99),
        f"{soaked.unaccounted} transactions are unaccounted for": soaked.unaccounted == 0,
        f"the bank booked {len(soaked.booked):,} transactions; {least:,} to {most:,} agree with the results": least
        <= len(soaked.booked)
        <= most,
        f"{soaked.booked.total() - len(soaked.booked)} transactions were booked again": soaked.booked.total()
        == len(soaked.booked),
        f"{balances['differing']} accounts differ ({balances['verdict']}: {balances['reason']})": balances[
            "differing"
        ]
        == 0,
        "no traceback": "Traceback" not in soaked.said,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="wall minutes")
    parser.add_argument("--every", type=float, default=10.0, help="seconds from one fault to the next")
    parser.add_argument("--tps", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        soaked = soak(Path(name), options.minutes * 60.0, options.every, options.tps)
    counts = soaked.results["transactions"]
    print("faults: " + ", ".join(f"{count} x {name}" for name, count in soaked.faults.items()))
    print(
        ", ".join(
            f"{counts[key]:,} {key}" for key in ("offered", "completed", "failed", "unknown", "dropped")
        )
    )
    held = verdicts(soaked)
    for process, samples in soaked.memory.items():
        quarters = ", ".join(f"{samples[place * (len(samples) - 1) // 4].rss_mb:.0f}" for place in range(5))
        climb_bytes = soaked.climb_bytes(process)
        what = f"{process}: {quarters} MB at its quarters, {climb_bytes:+.0f} bytes a transaction in the second half"
        held[what] = climb_bytes < MAX_BYTES_PER_TRANSACTION
    for what, holds in held.items():
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {what}")
    return int(not all(held.values()))


if __name__ == "__main__":
    sys.exit(main())
