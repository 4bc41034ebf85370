"""Does the generator offer what was asked for, on time?  Whole runs against a fast target, rate by rate.

Each rate is a run of its own, everything on, read from its own results: how much fell due of
what the scenario asks for, how much of that was carried out, and how late it started.  The first
second (users are still being seated) is the scenario's warm-up and is not in the lag.

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
#: At this rate, p99 of the lag is to be below `GOAL_MS`, and what was done within `GOAL_SHARE` of what was asked.
GOAL_TPS, GOAL_MS, GOAL_SHARE = 1_000, 5.0, 0.005


def run(at: Target, folder: Path, tps: int, seconds: float) -> dict[str, Any]:
    """The results of one run.  Raises RuntimeError when it left none."""
    scenario = folder / f"accuracy_{tps}.yaml"
    scenario.write_text(SCENARIO.format(hours=seconds / 3600.0, warm_up=1.0 / 3600.0, tps=tps))
    reports = folder / f"reports_{tps}"
    command = locust(
        "-f", str(ROOT / "locustfiles" / "banking.py"), "--headless", "--scenario", str(scenario)
    )
    command += ["--nexum-url", at.url, "--bastion-url", at.url, "--report-dir", str(reports), "--no-kafka"]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=child_environment(), capture_output=True, text=True
    )
    found = list(reports.glob("*/results.json"))
    if not found:
        raise RuntimeError(f"no results:\n{done.stderr[-2000:]}")
    results: dict[str, Any] = json.loads(found[0].read_text())
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="wall seconds of each run")
    parser.add_argument("--rates", type=int, nargs="+", default=[250, 1_000, 2_000, 4_000])
    options = parser.parse_args()
    print(machine())
    print(f"{'asked':>8}{'due/asked':>12}{'done/due':>11}{'lag p50':>10}{'p99':>10}{'max':>10}{'CPU':>7}")
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for tps in options.rates:
            results = run(nginx, Path(name), tps, options.seconds)
            counts, lag = results["transactions"], results["latency_ms"]["lag"]
            due = counts["offered"] / (tps * options.seconds)
            done = counts["completed"] / counts["offered"]
            cpu = results["generator"]["cpu_percent_mean"]
            lags = "".join(f"{lag[key]:7.2f} ms" for key in ("p50", "p99", "max"))
            print(f"{tps:8,}{due:12.2%}{done:11.2%}{lags}{cpu:6.0f}%")
            if tps == GOAL_TPS:
                met = lag["p99"] < GOAL_MS and abs(due * done - 1.0) <= GOAL_SHARE
                print(
                    f"{'':8}goal at {GOAL_TPS:,}/s: p99 below {GOAL_MS:g} ms, done within {GOAL_SHARE:.1%} "
                    f"of what was asked: {'reached' if met else 'missed'}"
                )
    print(machine())


if __name__ == "__main__":
    main()
