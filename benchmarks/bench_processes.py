"""One process and two: how much more two carry, and what the master costs.

Both are offered about as much as they can carry; nginx counts what was carried.
Generators, master and target share the machine: with two cores two processes cannot have one
each, so the figure that travels is the CPU per request, which must not grow.

    python benchmarks/bench_processes.py [--rounds N] [--offered TPS per process]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench_clients import whole
from kit import HEADING, Figures, Target, Window, free_port, machine, measure, target

ONE, TWO, CALM = "one process", "two processes", "two at 500 TPS each"
GOAL = 1.9
#: At `GOAL_TPS` a worker the master is to take no more of a core than this for each worker.
GOAL_TPS, GOAL_MASTER = 500, 0.02


def command(at: Target, folder: Path, processes: int, tps: int) -> Sequence[str]:
    """Whole banksim in this many processes, which offer ``tps`` together."""
    arguments = whole(at, folder, tps)
    if processes > 1:
        port = str(free_port())
        arguments += ["--processes", str(processes), "--master-bind-port", port, "--master-port", port]
    return arguments


def report(taken: dict[str, list[Window]]) -> None:
    print(f"{'':28}{HEADING}{'master':>9}")
    for name, windows in taken.items():
        first = statistics.median(window.first_cpu_s / window.wall_s for window in windows)
        master = f"{first:9.1%}" if name != ONE else ""
        print(f"{name:28}{Figures.of(windows)}{master}")
    more = Figures.of(taken[TWO]).rate / Figures.of(taken[ONE]).rate
    print(f"two processes over one: {more:.2f}x requests/s, goal {GOAL}x where the cores allow")
    master = statistics.median(window.first_cpu_s / window.wall_s / 2 for window in taken[CALM])
    verdict = "reached" if master <= GOAL_MASTER else "missed"
    print(
        f"master at {GOAL_TPS} TPS a worker: {master:.1%} of a core each, goal {GOAL_MASTER:.0%}: {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--offered", type=int, default=6_500, help="TPS per process: about what one can carry"
    )
    options = parser.parse_args()
    print(machine())
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        clients = {
            ONE: command(nginx, Path(name), 1, options.offered),
            TWO: command(nginx, Path(name), 2, 2 * options.offered),
            CALM: command(nginx, Path(name), 2, 2 * GOAL_TPS),
        }
        taken: dict[str, list[Window]] = {client: [] for client in clients}
        for _ in range(options.rounds):
            for client, line in clients.items():
                taken[client].extend(measure(line, nginx, settle_s=4.0, min_rate=1_000.0, start_s=40.0))
    report(taken)
    print(machine())


if __name__ == "__main__":
    main()
