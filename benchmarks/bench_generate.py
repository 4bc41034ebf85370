"""How fast `banksim generate` writes rows, and what a large population costs.

Whole processes: from the start of Python to the finished CSV file, by CPU time (user + system), so
that other work on the machine counts little.  Beside each figure stands the bare loop of
the same machine (`x += i * i % 7`), measured in turns with it, as a ratio: rows
per second depend on the machine, "so many bare iterations a row" hardly does.

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
#: Rows a second of a whole process, by customers; 1 % fraud.
GOALS = {2_000: 250_000, 100_000: 200_000}
GOAL_READY_S = 10.0
GOAL_MB = 200.0

_SCENARIO = """
name: Bench
duration_hours: {hours}
speed_multiplier: 1
start_at: 2026-01-05 12:00:00
customers: {customers}
transaction_rate: {{peak_tps: 1000, off_peak_tps: 1000}}
fraud: {{rate: 0.01}}
"""
_POPULATION = """
import json, resource, time
import numpy as np
started = time.process_time()
from banksim.run.plan import build_parts
from banksim.scenario import load_scenario
planner = build_parts(load_scenario("calibrated", {"customers": 1_000_000}), 7, 10_000).activity.rows
planner.plan(0, np.zeros(1))
ready_s = time.process_time() - started
planner.plan(1, 43_200 + np.arange(40_000) / 10)
print(json.dumps([ready_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def bare_loop_ns() -> float:
    """CPU nanoseconds of one iteration of a loop that does next to nothing."""
    started_s = time.process_time()
    x = 0
    for i in range(BARE_ITERATIONS):
        x += i * i % 7
    return (time.process_time() - started_s) / BARE_ITERATIONS * 1e9


def generate_cpu_s(rows: int, customers: int, folder: Path) -> float:
    """CPU seconds of one whole `banksim generate` of about ``rows`` rows into CSV."""
    scenario = folder / "bench.yaml"
    scenario.write_text(_SCENARIO.format(hours=rows / 3_600_000, customers=customers))
    command = [sys.executable, "-m", "banksim", "generate", "--scenario", str(scenario), "--seed", "7"]
    command += ["--out", str(folder / "bench.csv")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of a file")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        for customers, goal in GOALS.items():
            turns = [(bare_loop_ns(), generate_cpu_s(rows, customers, Path(name))) for _ in range(3)]
            bare_ns, whole_s = (min(column) for column in zip(*turns, strict=True))
            print(f"bare loop                     {bare_ns:8.1f} ns an iteration")
            print(f"{rows:,} rows, {customers:,} customers  {rows / whole_s:8,.0f} rows/s (goal {goal:,})")
            print(
                f"ratio                         {whole_s * 1e9 / rows / bare_ns:8,.0f} bare iterations a row"
            )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    output = subprocess.run(
        [sys.executable, "-c", _POPULATION], check=True, capture_output=True, text=True, env=environment
    ).stdout
    ready_s, peak_mb = json.loads(output)
    print(f"1,000,000 customers ready     {ready_s:8.2f} s CPU (goal {GOAL_READY_S:.0f})")
    print(f"… peak memory, 40,000 acted   {peak_mb:8.0f} MB (goal {GOAL_MB:.0f})")


if __name__ == "__main__":
    main()
