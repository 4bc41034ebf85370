"""What counting costs: one row or a block of them, the once-a-second work of a long run, its memory.

Nothing else runs.  CPU time of this process, the lowest of several rounds; memory from the system.

    python benchmarks/bench_measures.py [--minutes 10] [--tps 1000]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import psutil
from kit import machine

from banksim.measure import Measures, MeasureSettings, Roster
from banksim.measure.block import CallBlock, ResultBlock
from banksim.measure.summary import Asked, live
from banksim.model import AccountRef, At, Channel, Kind, Label, Place, Planned, Transaction, Truth
from banksim.scenario.models import Goals

PERSONAS = ("student", "salaried", "retired", "merchant")
CALLS = [("POST", f"/transactions/{name}") for name in ("withdraw", "deposit", "transfer")]
HOME = Place("Springfield", "US", 39.8, -89.6)
BLOCKS = (1, 5, 16, 64, 256, 1_024)


def planned(row: int) -> Planned:
    transaction = Transaction(
        f"t{row}", Kind.PURCHASE, AccountRef(1), 1_250, "USD", Channel.POS, 0.0, HOME, "d", ""
    )
    return Planned(transaction, Truth(Label.GENUINE, PERSONAS[row % 4]), 0.0)


def results(rng: np.random.Generator, size: int, sim_s: float, digits: int) -> ResultBlock:
    zeros, start_s = np.zeros(size, np.int64), rng.random(size)
    return ResultBlock(
        planned=planned,
        personas=PERSONAS,
        row=np.arange(size),
        sim_s=np.full(size, sim_s),
        label=zeros,
        persona=rng.integers(0, 4, size),
        channel=rng.integers(0, 8, size),
        amount_cents=rng.integers(1, 10**6, size),
        due_s=start_s - rng.exponential(0.0005, size),
        start_s=start_s,
        end_s=start_s + rng.lognormal(-4, 0.6, size),
        status=zeros,
        bank_ms=zeros.astype(np.float64),
        decision=zeros,
        score=rng.beta(1, 12, size).round(digits),
        score_ms=zeros.astype(np.float64),
    )


def calls(rng: np.random.Generator, size: int) -> CallBlock:
    sizes = np.full(size, 200)
    return CallBlock(
        "nexum", CALLS, rng.integers(0, 3, size), rng.lognormal(2, 0.6, size), sizes, sizes, sizes
    )


def cpu_us(work: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(5):
        started_s = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - started_s) / times)
    return best * 1e6


def counting(digits: int) -> None:
    rng, at = np.random.default_rng(1), At(1.0, 1.0)
    print(f"\nscores of {digits} decimals: µs CPU a transaction")
    print(f"{'rows at once':>14}{'in columns':>12}{'one by one':>12}{'calls':>8}")
    for size in BLOCKS:
        measures, block, made = Measures(), results(rng, size, 0.0, digits), calls(rng, size)
        rows, times = list(block), max(5, 2_000 // size)
        figures = (
            cpu_us(lambda: measures.ended(at, block), times),  # noqa: B023
            cpu_us(lambda: measures.ended(at, rows), times),  # noqa: B023
            cpu_us(lambda: measures.called(at, made), times),  # noqa: B023
        )
        print(
            f"{size:14}"
            + "".join(f"{us / size:{width}.2f}" for us, width in zip(figures, (12, 12, 8), strict=True))
        )


def once_a_second(measures: Measures, second: int) -> list[float]:
    """ms of CPU: snapshot, a worker's state, its last one, newest points, all points, the master's sum of two."""
    roster = Roster(MeasureSettings())
    for name in ("a", "b"):
        roster.update(name, json.loads(json.dumps(measures.to_state())))
    roster.total()
    from_s = second - 3.0
    newest = json.loads(json.dumps(measures.to_state(from_s, books=False)))

    def add_up() -> None:
        roster.update("a", newest)
        roster.total()

    work = (
        lambda: live(measures, second, Asked(Goals())),
        lambda: measures.to_state(from_s, books=False),
        measures.to_state,
        lambda: measures.timeline.points(from_s),
        measures.timeline.points,
        add_up,
    )
    return [cpu_us(one, 2) / 1_000 for one in work]


def long_run(minutes: float, tps: int, digits: int) -> None:
    """Each second a second's results, and what is asked of the measures once a second."""
    rng, measures, process = np.random.default_rng(2), Measures(), psutil.Process()
    measures.reserve()
    print(
        f"\na run of {minutes:g} min at {tps} TPS, scores of {digits} decimals: ms CPU; MB before and after looking"
    )
    names = ("second", "snapshot", "state", "whole", "points", "all", "sum of 2", "MB", "MB")
    print("".join(f"{name:>10}" for name in names))
    looks = {10, 60, 200, *range(300, int(minutes * 60), 300), int(minutes * 60)}
    for second in range(1, int(minutes * 60) + 1):
        at = At(float(second), second * 60.0)
        measures.offered(at, tps)
        measures.started(at, tps)
        for _ in range(5):
            measures.ended(at, results(rng, tps // 5, second * 60.0, digits))
            measures.called(at, calls(rng, tps // 5))
        live(measures, second, Asked(Goals()))
        measures.timeline.points(second - 3.0)
        if second in looks:
            before_mb = process.memory_info().rss / 1e6
            figures = once_a_second(measures, second)
            memory_mb = f"{before_mb:10.1f}{process.memory_info().rss / 1e6:10.1f}"
            print(f"{second:10}" + "".join(f"{ms:10.2f}" for ms in figures) + memory_mb)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long run, which takes less")
    parser.add_argument("--tps", type=int, default=1_000)
    options = parser.parse_args()
    print(machine())
    for digits in (3, 15):
        counting(digits)
    long_run(options.minutes, options.tps, 15)


if __name__ == "__main__":
    main()
