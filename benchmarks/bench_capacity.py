"""The limit of a bank with one teller, found by one process and by 1, 2 and 4 workers: do they agree?

The stand-in bank serves one movement after the other, each in 8 ms, so its limit is 125 a second
whoever asks.  Two workers may differ by what the search itself is precise to.

    python benchmarks/bench_capacity.py [--workers 0 1 2 4] [--hold 10]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
from kit import ROOT, free_port, machine

from banksim.sandbox import BankApi
from banksim.sandbox import server as sandbox_server

SERVICE_S = 0.008
GOAL = 0.03

SCENARIO = """\
name: One teller
duration_hours: 500
speed_multiplier: 1000
customers: 200
arrivals: even
max_users: 200
transaction_rate: {{peak_tps: 10, off_peak_tps: 10}}
fraud: {{rate: 0}}
load: {{start_tps: 80, factor: 1.3, hold_seconds: {hold}, precision: 0.01, until: ["response_time.p99 < 200ms"]}}
"""


class OneTeller(BankApi):
    """A queue of one server: wait for everybody before, then for the own service."""

    free_at_s = 0.0

    def handle(self, method: str, path: str, query: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        if path.startswith("/transactions/"):
            now_s = time.monotonic()
            self.free_at_s = max(now_s, self.free_at_s) + SERVICE_S
            gevent.sleep(self.free_at_s - now_s)
        return super().handle(method, path, query, body)


def found_by(workers: int, hold_s: float, folder: Path) -> dict[str, Any]:
    """What a search with so many workers leaves in ``run.capacity``; 0 is a process alone."""
    ports = [str(free_port()), str(free_port())]
    scenario = folder / "one_teller.yaml"
    scenario.write_text(SCENARIO.format(hold=hold_s))
    bank = subprocess.Popen([sys.executable, __file__, "--serve", *ports], stdout=subprocess.PIPE)
    out = folder / str(workers)
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "banking.py"), "--headless"]
    for option, port in zip(("--nexum-url", "--bastion-url"), ports, strict=True):
        command += [option, f"http://127.0.0.1:{port}"]
    command += ["--scenario", str(scenario), "--seed", "7"]
    command += ["--target-mode", "live", "--report-dir", str(out), "--no-kafka"]
    if workers:
        bind = str(free_port())
        command += ["--processes", str(workers), "--master-bind-port", bind, "--master-port", bind]
    try:
        assert bank.stdout is not None
        for _ in ports:
            bank.stdout.readline()  # it listens
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    finally:
        bank.terminate()
        bank.wait()
    files = list(out.glob("*/results.json"))
    if not files:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return dict(json.loads(files[0].read_text())["run"]["capacity"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4], help="0: a process alone")
    parser.add_argument("--hold", type=float, default=10.0, help="seconds a step")
    parser.add_argument("--serve", type=int, nargs=2, default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        sandbox_server.BankApi = OneTeller  # type: ignore[misc]
        sandbox_server.serve(
            sandbox_server.Settings(bank_port=options.serve[0], detector_port=options.serve[1])
        )
        return
    print(machine())
    limits = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        for workers in options.workers:
            found = found_by(workers, options.hold, Path(name))
            limits.append(found["found_tps"] or 0.0)
            steps = len(found["steps"])
            who = f"{workers} workers" if workers else "alone"
            print(
                f"{who:12}{limits[-1]:8.1f} tx/s held, {found['failed_tps']:.1f} did not; {steps} steps",
                flush=True,
            )
    apart = max(limits) / min(limits) - 1 if min(limits) else float("inf")
    print(f"limit of the bank {1 / SERVICE_S:.0f} tx/s; {apart:.1%} apart, goal {GOAL:.0%}")
    print(machine())


if __name__ == "__main__":
    main()
