"""Does memory stay flat?  A run at a constant rate for as long as asked, and a verdict.

The target is nginx, a process of its own, so that only the generator is judged; where it is not
installed, the stand-ins of a dry run keep their ledger and their memory in the same process,
and the limit is wider.

The resident memory of the process is sampled over the whole run.  Caches fill and tables reach
their bounds first, so a straight line is laid through the second half of the samples only; what
it climbs is judged per million transactions, and must be less than `MAX_MB_PER_MILLION`.
Exit code 1 when it is not, or when the run itself failed.

    python benchmarks/soak.py [--minutes 60] [--tps 500] [--customers 2000] [--samples FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
from kit import ROOT, child_environment, locust, machine, nginx_binary, target

#: What a climb may come to; an hour at 500 TPS is 1.8 million transactions.
MAX_MB_PER_MILLION, MAX_MB_PER_MILLION_DRY = 2.0, 10.0
SAMPLES = 240
#: Simulated seconds per wall second: hours of the day, rents and campaigns come and go within minutes.
SPEED = 60

SCENARIO = """
name: Soak
duration_hours: {hours:.6f}
speed_multiplier: {speed}
start_at: 2026-01-05 08:00:00
customers: {customers}
max_users: 100
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud:
  rate: 0.01
  patterns:
    - {{type: velocity_attack}}
    - {{type: card_testing}}
    - {{type: mule_network}}
    - {{type: account_takeover}}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory in MB at a wall second of the run."""

    wall_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``slope_mb_per_hour`` is that of the second half; ``climb_mb`` what it comes to per million transactions."""

    transactions: int
    tps: float
    first_mb: float
    last_mb: float
    slope_mb_per_hour: float
    climb_mb: float
    limit_mb: float

    @property
    def flat(self) -> bool:
        return self.climb_mb <= self.limit_mb


def slope_per_s(samples: Sequence[Sample]) -> float:
    """MB per second of the straight line through the samples (least squares)."""
    mean_s = sum(sample.wall_s for sample in samples) / len(samples)
    mean_mb = sum(sample.rss_mb for sample in samples) / len(samples)
    spread = sum((sample.wall_s - mean_s) ** 2 for sample in samples)
    return sum((sample.wall_s - mean_s) * (sample.rss_mb - mean_mb) for sample in samples) / spread


def judge(
    samples: Sequence[Sample], transactions: int, wall_s: float, limit_mb: float = MAX_MB_PER_MILLION
) -> Verdict:
    """A run of ``transactions`` in ``wall_s`` seconds, by its samples."""
    half = samples[len(samples) // 2 :]
    slope = slope_per_s(half)
    tps = transactions / wall_s
    return Verdict(
        transactions, tps, half[0].rss_mb, half[-1].rss_mb, slope * 3600.0, slope / tps * 1e6, limit_mb
    )


def soak(
    minutes: float, tps: int, customers: int, folder: Path, url: str = ""
) -> tuple[list[Sample], dict[str, object]]:
    """Samples of the run, and its results; a dry run without ``url``.  Raises RuntimeError when it failed."""
    scenario = folder / "soak.yaml"
    hours = minutes / 60.0 * SPEED
    scenario.write_text(SCENARIO.format(hours=hours, speed=SPEED, customers=customers, tps=tps))
    command = locust(
        "-f", str(ROOT / "locustfiles" / "banking.py"), "--headless", "--scenario", str(scenario)
    )
    command += ["--nexum-url", url, "--bastion-url", url] if url else ["--dry-run"]
    command += ["--report-dir", str(folder / "reports"), "--no-kafka"]
    samples = []
    log = folder / "output.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=ROOT, env=child_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            process, started_s = psutil.Process(child.pid), time.monotonic()
            every_s = minutes * 60.0 / SAMPLES
            while child.poll() is None:
                time.sleep(every_s)
                wall_s = time.monotonic() - started_s
                if wall_s < minutes * 60.0 and child.poll() is None:  # the report is made afterwards
                    samples.append(Sample(wall_s, process.memory_info().rss / 1e6))
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait(120)
    found = list((folder / "reports").glob("*/results.json"))
    if child.returncode != 0 or not found:
        raise RuntimeError(f"the run ended with {child.returncode}:\n{log.read_text()[-2000:]}")
    return samples, json.loads(found[0].read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="wall minutes")
    parser.add_argument("--tps", type=int, default=500)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--limit", type=float, help="MB per million transactions")
    parser.add_argument("--dry-run", action="store_true", help="against the stand-ins, in the same process")
    parser.add_argument("--samples", type=Path, help="write the samples to this CSV file")
    options = parser.parse_args()
    print(machine())
    dry = options.dry_run or nginx_binary() is None
    limit_mb = options.limit or (MAX_MB_PER_MILLION_DRY if dry else MAX_MB_PER_MILLION)
    outside = nullcontext() if dry else target()
    with outside as nginx, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        url = "" if nginx is None else nginx.url
        samples, results = soak(options.minutes, options.tps, options.customers, Path(name), url)
    if options.samples is not None:
        lines = [f"{sample.wall_s:.1f},{sample.rss_mb:.1f}" for sample in samples]
        options.samples.write_text("\n".join(["wall_s,rss_mb", *lines, ""]))
    counts = results["transactions"]
    assert isinstance(counts, dict)
    verdict = judge(samples, counts["offered"], options.minutes * 60.0, limit_mb)
    print(f"{verdict.transactions:,} transactions in {options.minutes:g} min, {verdict.tps:,.0f} a second")
    quarters = [samples[place * (len(samples) - 1) // 4].rss_mb for place in range(5)]
    print("memory at 0, ¼, ½, ¾ and all of it: " + ", ".join(f"{mb:.0f}" for mb in quarters) + " MB")
    print(
        f"second half: {verdict.slope_mb_per_hour:+.1f} MB an hour, {verdict.climb_mb:+.1f} MB per million "
        f"transactions (limit {verdict.limit_mb:g}): {'flat' if verdict.flat else 'NOT FLAT'}"
    )
    if not verdict.flat:
        sys.exit(1)


if __name__ == "__main__":
    main()
