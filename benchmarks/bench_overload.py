"""What a process carries when it is offered too much, and what customers cost, however many there are.

overload   the best rate that is carried, then three times as much: what is carried of the best;
           with a core to itself, and with a third of one (two busy processes on the same core)
customers  CPU per request with 500, 20,000 and 1,000,000 customers, scores only (opening a million
           accounts would take longer than everything else here)

python benchmarks/bench_overload.py [--rounds N] [--customers N ...]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from bench_clients import verdict, whole
from kit import HEADING, Figures, Target, Window, machine, measure, target

#: Offered one after the other to find the best, in TPS.
LADDER = (4_000, 8_000, 12_000)
GOAL_CARRIED = 0.95
SCALE_TPS = 1_500
GOAL_SCALE = 1.2
BUSY = "while True: pass"


@contextmanager
def neighbours(count: int, core: int) -> Iterator[None]:
    """This many busy processes on one core."""
    children = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        for child in children:
            psutil.Process(child.pid).cpu_affinity([core])
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def carried_tps(at: Target, command: Sequence[str], core: int, rounds: int) -> float:
    """Median of what is carried once the load stands, with the client on ``core``."""
    pinned = ["taskset", "-c", str(core), *command]
    windows: list[Window] = []
    for _ in range(rounds):
        windows += measure(pinned, at, settle_s=4.0, min_rate=50.0, start_s=60.0)
    return Figures.of(windows).rate / 2


def overload(at: Target, folder: Path, rounds: int) -> None:
    core = (psutil.cpu_count() or 1) - 1
    for busy, share in ((0, "a core"), (2, "a third of one")):
        with neighbours(busy, core):
            ladder = [tps if not busy else tps // 3 for tps in LADDER]
            rates = {tps: carried_tps(at, whole(at, folder, tps), core, rounds) for tps in ladder}
            best = max(rates.values())
            offered = int(3 * best)
            under_load = carried_tps(at, whole(at, folder, offered), core, rounds)
        found = ", ".join(f"{tps:,} → {rate:,.0f}" for tps, rate in rates.items())
        print(f"with {share}: offered → carried TPS: {found}; {offered:,} → {under_load:,.0f}")
        print(
            f"  three times the best: {under_load / best:.2f} of it, goal {GOAL_CARRIED}: "
            f"{verdict(under_load / best / GOAL_CARRIED)}"
        )


def scale(at: Target, folder: Path, rounds: int, customers: Sequence[int]) -> None:
    taken: dict[int, list[Window]] = {n: [] for n in customers}
    for _ in range(rounds):
        for n in customers:
            command = whole(at, folder, SCALE_TPS, n, bank=False)
            taken[n].extend(measure(command, at, settle_s=3.0, min_rate=0.5 * SCALE_TPS, start_s=120.0))
    print(f"{'customers':>12}{HEADING}")
    figures = {n: Figures.of(windows) for n, windows in taken.items()}
    for n, figure in figures.items():
        print(f"{n:12,}{figure}")
    ratio = figures[customers[-1]].p20_us / figures[customers[0]].p20_us
    print(
        f"{customers[-1]:,} over {customers[0]:,}: x{ratio:.2f}, goal x{GOAL_SCALE}: {verdict(GOAL_SCALE / ratio)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--customers", type=int, nargs="+", default=[500, 20_000, 1_000_000])
    options = parser.parse_args()
    print(machine())
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scale(nginx, Path(folder), options.rounds, options.customers)
        overload(nginx, Path(folder), options.rounds)
    print(machine())


if __name__ == "__main__":
    main()
