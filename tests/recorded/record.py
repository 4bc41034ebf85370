"""Record the runs that tests of the verdict read: short dry runs of the real program.

    python -m tests.recorded.record [NAME ...]      writes tests/recorded/NAME.json.gz

Each takes some seconds of wall time.  Record them again when results.json changes its form.
"""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent

BASE = """\
name: {name}
description: Recorded for tests
duration_hours: {hours}
speed_multiplier: 1800
start_at: 2026-01-05 09:00:00
customers: 60
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}}}
connections: {{timeout_seconds: {timeout_s}, max_retries: 0}}
fraud:
  rate: 0.1
  patterns:
    - {{type: card_testing, weight: 0.6}}
    - {{type: velocity_attack, weight: 0.4}}
"""

#: A bank that acknowledges some withdrawals and does not book them.
LOSING_BANK = """\
from banksim.sandbox import BankApi

handle, served = BankApi.handle, [0]


def losing(self, method, path, query, body=None):
    if path == "/transactions/withdraw" and body["channel"] != "system":
        served[0] += 1
        if served[0] % 50 == 0:
            return 200, {"transaction_id": f"lost-{served[0]}", "state": "completed", "message": "ok"}
    return handle(self, method, path, query, body)


BankApi.handle = losing

from locustfiles.banking import *
"""


@dataclass(frozen=True)
class Run:
    """``signals``: (wall seconds after the start of the load, signal)."""

    more: str = ""
    arguments: tuple[str, ...] = ()
    tps: int = 40
    hours: float = 5
    timeout_s: float = 1
    locustfile: str = ""
    signals: tuple[tuple[float, int], ...] = ()


def fault(target: str, kind: str, start_hour: float, minutes: float, more: str = "") -> str:
    row = f"target: {target}, kind: {kind}, start_hour: {start_hour}, duration_minutes: {minutes}"
    return f"  - {{{row}{', ' if more else ''}{more}}}\n"


RUNS = {
    "calm": Run(arguments=("--threshold", "recall >= 10%", "--threshold", "errors < 5%")),
    "slow_bank": Run(
        "faults:\n" + fault("bank", "latency", 0, 300, "latency_ms: [2100, 2600]"), tps=10, timeout_s=10
    ),
    "hung_detector": Run("faults:\n" + fault("detector", "hangs", 1, 240), tps=20),
    "frozen_generator": Run(signals=((3.0, signal.SIGSTOP), (7.0, signal.SIGCONT))),
    "interrupted": Run(signals=((4.0, signal.SIGINT),)),
    "failed_threshold": Run(arguments=("--threshold", "recall >= 99%", "--threshold", "errors < 5%")),
    "money_differs": Run(locustfile=LOSING_BANK),
    "outage": Run(
        "faults:\n"
        + fault("detector", "hangs", 1, 45)
        + fault("bank", "errors", 2.5, 45, "status: 500, share: 0.5")
        + fault("bank", "restart", 4, 20),
        tps=20,
    ),
    "capacity": Run(
        "load: {start_tps: 20, factor: 2, hold_seconds: 1, max_tps: 80, precision: 0.3, "
        'until: ["response_time.p99 < 1s", "achieved_rate >= 0%"]}\n',
        hours=100,
    ),
    "two_workers": Run(arguments=("--processes", "2")),
}


def record(name: str) -> None:
    """Run it and keep its results."""
    run = RUNS[name]
    with tempfile.TemporaryDirectory(prefix="banksim-recorded-") as folder:
        scenario = Path(folder, f"{name}.yaml")
        text = BASE.format(
            name=name.replace("_", " ").capitalize(), hours=run.hours, tps=run.tps, timeout_s=run.timeout_s
        )
        scenario.write_text(text + run.more)
        locustfile = ROOT / "locustfiles" / "banking.py"
        if run.locustfile:
            locustfile = Path(folder, "locustfile.py")
            locustfile.write_text(run.locustfile)
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless"]
        command += ["--scenario", str(scenario), "--dry-run", "--seed", "7", "--report-dir", f"{folder}/out"]
        process = subprocess.Popen(
            [*command, *run.arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        lines = []
        if run.signals and process.stdout is not None:
            for line in process.stdout:
                lines.append(line)
                if "Transaction generation started" in line:
                    break
            begun_s = time.monotonic()
            for after_s, number in run.signals:
                time.sleep(max(0.0, begun_s + after_s - time.monotonic()))
                process.send_signal(number)
        rest, _ = process.communicate(timeout=120)
        found = list(Path(folder, "out").glob("*/results.json"))
        if not found:
            sys.exit("".join(lines) + rest)
        with gzip.GzipFile(FOLDER / f"{name}.json.gz", "wb", mtime=0) as file:
            file.write(found[0].read_bytes())
        print(f"{name}: exit code {process.returncode}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or RUNS:
        record(chosen)
