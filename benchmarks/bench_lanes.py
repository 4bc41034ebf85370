"""CPU of the row path by itself: planned in blocks, sent by lanes, given back as columns.

    plan  ─► request bytes ─► put when due ─► lanes ─► columns every 20 ms

Nothing of a run is around it (no Locust, no measures, no books), so this is what a whole run can come
down to.  Two requests a transaction, nginx answers.  Rates are offered one after the other in each
round, in short windows.

    python benchmarks/bench_lanes.py [--rounds N] [--rates TPS ...] [--without plan]
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import gc  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import deque  # noqa: E402

import gevent  # noqa: E402
import numpy as np  # noqa: E402
from kit import HEADING, Figures, Window, machine, measure, target  # noqa: E402

from banksim.activity.block import Block  # noqa: E402
from banksim.activity.rows import RowPlanner  # noqa: E402
from banksim.model import Transaction  # noqa: E402
from banksim.scenario import parse_scenario  # noqa: E402
from banksim.targets import ClientSettings, HttpTransport, http_targets  # noqa: E402
from banksim.targets.calls import GuardedTransport  # noqa: E402
from banksim.targets.carrier import Carrier, results_of  # noqa: E402
from banksim.targets.http.lanes import Trip  # noqa: E402
from banksim.targets.wire_blocks import WireBlocks  # noqa: E402
from banksim.world import World  # noqa: E402

CUSTOMERS = 500
SCENARIO = f"""
name: Lanes
duration_hours: 24
speed_multiplier: 1
start_at: 2026-01-05 12:00:00
customers: {CUSTOMERS}
initial_balance: 1000000.00
transaction_rate: {{peak_tps: 1000, off_peak_tps: 1000, business_hours: [0, 24]}}
"""
#: CPU microseconds per request that whole banksim is to need at most, by transactions a second.
GOALS_US = {1_000: 50.0, 5_000: 22.0, 10_000: 18.0}
#: How far ahead rows are planned, and the least time between two looks for what is due.
AHEAD_S, LOOK_S = 0.25, 0.0005


class Driver:
    """Offers ``tps`` transactions a second to the systems at ``url``, for ever."""

    def __init__(self, url: str, tps: float, plans: bool) -> None:
        self._tps, self._plans = tps, plans
        self._size = int(min(512, max(64, tps * AHEAD_S)))
        targets = http_targets(url, url, ClientSettings(seed=1, concurrency=200))
        if targets.bank is None or targets.detector is None:
            raise RuntimeError("both systems are needed")
        for index in range(CUSTOMERS):
            uuid = f"7d1f7e1e-3f3a-4c83-8a83-b0a4c8e2c{index:03d}"
            targets.directory.add(index, uuid, [uuid, uuid])
        world = World.from_scenario(parse_scenario(SCENARIO, "lanes", {}), 7)
        self._planner = RowPlanner(world)
        self._blocks: deque[Block] = deque(maxlen=64)
        first = self._plan()
        self._wire = WireBlocks(
            first.legend,
            targets.directory,
            http_of(targets.bank.transport),
            http_of(targets.detector.transport),
        )
        self._kept = self._requests(first)
        self._carrier = Carrier(targets.bank, targets.detector, self._transaction, self._count)
        self.counted = 0

    def _plan(self) -> Block:
        now_s = getattr(self, "_sim_s", 0.0)
        row = getattr(self, "_row", 0)
        gaps = np.random.default_rng(row).exponential(1 / self._tps, self._size)
        moments = now_s + np.cumsum(gaps)
        self._sim_s, self._row = float(moments[-1]), row + self._size
        block = self._planner.plan(row, moments)
        self._blocks.append(block)
        return block

    def _requests(self, block: Block) -> list[tuple[int, float, bytes, bytes]]:
        columns = block.row.tolist(), block.sim_s.tolist(), self._wire.posts(block), self._wire.scores(block)
        return list(zip(*columns, strict=True))

    def _transaction(self, row: int) -> Transaction:
        block = next(block for block in self._blocks if block.row[0] <= row <= block.row[-1])
        return block.planned(int(np.searchsorted(block.row, row))).transaction

    def _count(self, trips: list[Trip]) -> None:
        self.counted += len(results_of(trips).row)

    def _more(self) -> list[tuple[int, float, bytes, bytes]]:
        if self._plans:
            return self._requests(self._plan())
        first_s, span_s = self._kept[0][1], self._size / self._tps
        self._sim_s += span_s
        return [(row, self._sim_s + at_s - first_s, post, score) for row, at_s, post, score in self._kept]

    def run(self) -> None:
        gc.collect()
        gc.freeze()
        ring: deque[tuple[int, float, bytes, bytes]] = deque(self._kept)
        origin_s = time.monotonic() + 0.2
        put = self._carrier.put
        while True:
            now_s = time.monotonic() - origin_s
            if not ring or ring[-1][1] - now_s < AHEAD_S:
                ring.extend(self._more())
            while ring and ring[0][1] <= now_s:
                row, due_s, post, score = ring.popleft()
                put(row, origin_s + due_s, post, score)
            wait_s = ring[0][1] - (time.monotonic() - origin_s) if ring else 0.0
            gevent.sleep(max(LOOK_S, wait_s))


def http_of(transport: object) -> HttpTransport | None:
    inner = transport.inner if isinstance(transport, GuardedTransport) else transport
    return inner if isinstance(inner, HttpTransport) else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="+", default=list(GOALS_US))
    parser.add_argument("--without", choices=["plan"], help="send the same block again and again")
    parser.add_argument("--drive", nargs=2, metavar=("URL", "TPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        Driver(options.drive[0], float(options.drive[1]), options.without is None).run()
    print(machine())
    taken: dict[int, list[Window]] = {tps: [] for tps in options.rates}
    with target() as nginx:
        for _ in range(options.rounds):
            for tps, windows in taken.items():
                command = [sys.executable, __file__, "--drive", nginx.url, str(tps)]
                command += ["--without", options.without] if options.without else []
                windows.extend(measure(command, nginx, settle_s=1.5, min_rate=tps))
    print(f"{'TPS':>8}{HEADING}{'goal':>8}")
    for tps, windows in taken.items():
        goal = f"{GOALS_US[tps]:8.0f}" if tps in GOALS_US else ""
        print(f"{tps:8,}{Figures.of(windows)}{goal}")
    print(machine())


if __name__ == "__main__":
    main()
