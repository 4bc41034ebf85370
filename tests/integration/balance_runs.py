"""Distributed sandbox runs in a row: the money of every one of them must agree.

Run by hand; every second run has a web page.  A run takes about half a minute.

    python -m tests.integration.balance_runs [--runs N] [--scenario NAME] [--processes N]

Exits with 1 when a run does not balance, and keeps the folder of that run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.integration.cluster import LOCUST, free_port

#: Wall seconds for one run, its opening of customers and its report.
PATIENCE_S = 300.0
#: Seconds that a process with a page gets to end after its run.
END_S = 60.0


def command(folder: Path, options: argparse.Namespace, web: bool) -> list[str]:
    port = free_port()
    how = ["--web-port", str(free_port()), "--autostart"] if web else ["--headless", "--only-summary"]
    return [
        *LOCUST,
        *how,
        *("--sandbox", "--scenario", options.scenario, "--speed", str(options.speed)),
        *("--processes", str(options.processes), "--master-bind-port", str(port), "--master-port", str(port)),
        *("--report-dir", str(folder)),
    ]


def results_of(folder: Path) -> dict[str, Any] | None:
    """What the run in this folder has left so far."""
    for file in folder.glob("*/results.json"):
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except ValueError:
            return None  # it is being written
        return found
    return None


def conduct(folder: Path, options: argparse.Namespace, web: bool) -> dict[str, Any] | None:
    """One whole run; None when it left no results."""
    with (folder / "all.log").open("wb") as log:
        process = subprocess.Popen(
            command(folder, options, web),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        until_s = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < until_s and process.poll() is None:
                if web and results_of(folder) is not None:
                    process.send_signal(signal.SIGTERM)
                    break
                time.sleep(0.25)
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            print("  the process did not end by itself")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return results_of(folder)


def one(number: int, options: argparse.Namespace) -> bool:
    web = number % 2 == 0
    folder = Path(tempfile.mkdtemp(prefix="banksim-balance-"))
    started_s = time.monotonic()
    results = conduct(folder, options, web)
    kind = "web     " if web else "headless"
    if results is None:
        print(f"{number:3} {kind} no results: {folder}", flush=True)
        return False
    found, counts = results["reconciliation"], results["transactions"]
    good = found["verdict"] == "balanced" and not found["unread"]
    print(
        f"{number:3} {kind} {found['verdict']}: {found['accounts']:,} accounts, {found['differing']} differ, "
        f"{counts['completed']:,} completed, {counts['failed']} failed, {counts['unknown']} unknown, "
        f"{time.monotonic() - started_s:.0f} s {found['reason']}",
        flush=True,
    )
    if good:
        shutil.rmtree(folder)
    else:
        print(f"    kept in {folder}", flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--scenario", default="peak_load")
    parser.add_argument("--speed", type=float, default=1000.0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    good = [one(number, options) for number in range(options.runs)]
    print(f"{sum(good)} of {len(good)} runs balance")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
