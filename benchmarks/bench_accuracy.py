"""Does the generator offer what was asked for, on time?  Whole runs against a fast target, rate by rate.

Each rate is a run of its own, everything on, read from its own results: how much fell due of
what the scenario asks for, how much of that was carried out, and how late it started.  The first
second (users are still being seated) is the scenario's warm-up and is not in the lag.
*stall* is how long the process's own work kept its greenlets from running (stall_probe.py).

    python benchmarks/bench_accuracy.py [--seconds N] [--rates TPS ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from kit import ROOT, Target, child_environment, locust, machine, target

#: Arrivals are evenly spaced, so that every difference to the rate is the generator's, not chance.
SCENARIO = """
name: Accuracy
duration_hours: {hours:.8f}
speed_multiplier: 1
warm_up_hours: {warm_up:.8f}
start_at: 2026-01-05 12:00:00
customers: 500
initial_balance: 1000000.00
max_users: 200
arrivals: even
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud: {{rate: 0, decoy_rate: 0}}
"""
#: Up to this rate, p99 of the lag is to be below `GOAL_MS`, and what was done within `GOAL_SHARE` of what was asked.
GOAL_TPS, GOAL_MS, GOAL_SHARE = 10_000, 5.0, 0.005
#: Longest stall from the process's own work, in ms: 99th percentile and maximum.
GOAL_STALL_MS, GOAL_LONGEST_MS = 2.0, 20.0


def run(at: Target, folder: Path, tps: int, seconds: float) -> tuple[dict[str, Any], dict[str, float]]:
    """The results of one run, and its stalls in ms.  Raises RuntimeError when it left none."""
    scenario = folder / f"accuracy_{tps}.yaml"
    scenario.write_text(SCENARIO.format(hours=seconds / 3600.0, warm_up=1.0 / 3600.0, tps=tps))
    reports = folder / f"reports_{tps}"
    stalls = folder / f"stalls_{tps}.json"
    files = f"{ROOT / 'locustfiles' / 'banking.py'},{ROOT / 'benchmarks' / 'stall_probe.py'}"
    command = locust("-f", files, "--headless", "--scenario", str(scenario))
    command += ["--nexum-url", at.url, "--bastion-url", at.url, "--report-dir", str(reports), "--no-kafka"]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env={**child_environment(), "STALLS": str(stalls)},
        capture_output=True,
        text=True,
    )
    found = list(reports.glob("*/results.json"))
    if not found:
        raise RuntimeError(f"no results:\n{done.stderr[-2000:]}")
    return json.loads(found[0].read_text()), json.loads(stalls.read_text())


def carried(results: dict[str, Any], tps: int, seconds: float) -> bool:
    """Whether a run did what it was asked for, on time."""
    counts, lag = results["transactions"], results["latency_ms"]["lag"]
    done = counts["completed"] / (tps * seconds)
    return bool(lag["p99"] < GOAL_MS and abs(done - 1.0) <= GOAL_SHARE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="wall seconds of each run")
    parser.add_argument("--rates", type=int, nargs="+", default=[250, 1_000, 2_000, 5_000, 10_000])
    options = parser.parse_args()
    print(machine())
    print(
        f"{'asked':>8}{'due/asked':>12}{'done/due':>11}{'lag p50':>10}{'p99':>10}{'max':>10}{'CPU':>7}{'stall p99':>12}{'max':>10}"
    )
    best = 0
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for tps in options.rates:
            results, stall = run(nginx, Path(name), tps, options.seconds)
            counts, lag = results["transactions"], results["latency_ms"]["lag"]
            due = counts["offered"] / (tps * options.seconds)
            done = counts["completed"] / counts["offered"]
            cpu = results["generator"]["cpu_percent_mean"]
            lags = "".join(f"{lag[key]:7.2f} ms" for key in ("p50", "p99", "max"))
            stalls = f"{stall['p99']:9.2f} ms{stall['max']:7.1f} ms"
            print(f"{tps:8,}{due:12.2%}{done:11.2%}{lags}{cpu:6.0f}%{stalls}")
            if carried(results, tps, options.seconds):
                best = max(best, tps)
    print(
        f"carried with p99 of the lag below {GOAL_MS:g} ms and {GOAL_SHARE:.1%} missing at most: {best:,} TPS, "
        f"goal {GOAL_TPS:,}: {'reached' if best >= GOAL_TPS else 'missed'}"
    )
    print(f"goal for stalls: p99 {GOAL_STALL_MS:g} ms, longest {GOAL_LONGEST_MS:g} ms")
    print(machine())


if __name__ == "__main__":
    main()
