"""How fast `banksim generate` writes rows, and what a large population costs.

Whole processes: from the start of Python to the finished CSV file, by CPU time (user + system), so
that other work on the machine counts little.  Each figure is compared with the bare loop of
the same machine (`x += i * i % 7`), measured in turns with it, as a ratio: rows
per second depend on the machine, bare iterations a row hardly do.

    python benchmarks/bench_generate.py [--rows N]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE_ITERATIONS = 3_000_000
#: Rows a second of a whole process, by customers, at most 1 % fraud.
GOALS_ROWS_S = {2_000: 250_000, 100_000: 200_000}
GOAL_READY_S = 10.0
GOAL_MB = 500.0

_POPULATION = """
import json, resource, time
started = time.process_time()
from banksim.run.plan import build_parts
from banksim.scenario import load_scenario
parts = build_parts(load_scenario("calibrated", {"customers": 1_000_000}), 7, 10_000)
parts.activity.plan(0.0)
ready_s = time.process_time() - started
for nth in range(40_000):
    parts.activity.plan(43_200 + nth / 10)
print(json.dumps([ready_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def bare_loop_ns() -> float:
    """CPU nanoseconds of one iteration of a loop that does next to nothing."""
    started_s = time.process_time()
    x = 0
    for i in range(BARE_ITERATIONS):
        x += i * i % 7
    return (time.process_time() - started_s) / BARE_ITERATIONS * 1e9


def generate_cpu_s(rows: int, folder: Path, customers: int = 2_000) -> float:
    """CPU seconds of one whole `banksim generate` of ``rows`` rows into CSV."""
    command = [sys.executable, "-m", "banksim", "generate", "--scenario", "calibrated"]
    command += ["--customers", str(customers), "--limit", str(rows), "--out", str(folder / "bench.csv")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=150_000, help="rows of the large file; the goals are for 1,000,000"
    )
    rows = parser.parse_args().rows
    small = rows // 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        turns = [
            (
                bare_loop_ns(),
                generate_cpu_s(rows, folder),
                generate_cpu_s(small, folder),
                generate_cpu_s(rows, folder, 100_000),
            )
            for _ in range(3)
        ]
    bare_ns, whole_s, small_s, many_s = (min(column) for column in zip(*turns, strict=True))
    each_us = (whole_s - small_s) / (rows - small) * 1e6
    print(f"bare loop                     {bare_ns:8.1f} ns an iteration")
    for customers, goal in GOALS_ROWS_S.items():
        used_s = whole_s if customers == 2_000 else many_s
        label = f"{rows:,} rows, {customers:,} customers"
        print(f"{label:30}{rows / used_s:8,.0f} rows/s and core (goal {goal:,})")
    print(f"without start-up              {1e6 / each_us:8,.0f} rows/s and core, {each_us:.1f} µs a row")
    print(f"ratio                         {each_us * 1000 / bare_ns:8,.0f} bare iterations a row")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    output = subprocess.run(
        [sys.executable, "-c", _POPULATION], check=True, capture_output=True, text=True, env=environment
    ).stdout
    ready_s, peak_mb = json.loads(output)
    print(f"1,000,000 customers ready     {ready_s:8.2f} s CPU (goal {GOAL_READY_S:.0f})")
    print(f"… peak memory, 40,000 acted   {peak_mb:8.0f} MB (goal {GOAL_MB:.0f})")


if __name__ == "__main__":
    main()
