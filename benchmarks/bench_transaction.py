"""Where the CPU of one transaction goes, stage by stage, from the drawn arrival to the feed.

Every stage is the real component, called in a row by itself; the two HTTP calls go to nginx.
CPU time of this process, median of several rounds.  What the stages do not show is the cost
of doing them in turns (cold caches, switches); `bench_clients.py` measures the whole.

    python benchmarks/bench_transaction.py [--rounds N]
"""

from __future__ import annotations

import locust

# isort: split
import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import gevent
from kit import machine, target
from locust.env import Environment

from banksim.load.statistics import LocustStatistics
from banksim.measure import Measures
from banksim.model import (
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    Outcome,
    Planned,
    ScoreReply,
)
from banksim.run.connect import MovementBooks
from banksim.run.executor import Executor
from banksim.run.feed import Feed
from banksim.run.plan import Parts, build_parts
from banksim.run.queues import ANY_PERSONA, Arrival, Seats
from banksim.scenario import parse_scenario
from banksim.targets import (
    AccountDirectory,
    BastionClient,
    Call,
    HttpTransport,
    NexumClient,
    Reply,
    Request,
    Targets,
)

SCENARIO = """
name: Benchmark
duration_hours: 10
speed_multiplier: 1
start_at: 2026-01-05 12:00:00
customers: 5000
transaction_rate: {peak_tps: 2000, off_peak_tps: 2000, business_hours: [0, 24]}
fraud: {rate: 0.01, patterns: [{type: velocity_attack}]}
"""
CUSTOMERS = 5000
#: Transactions that are planned first, so that every customer has been met.
WARM_UP = 40_000
PER_ROUND = 2_000
BANK_ANSWER: dict[str, Any] = {"state": "completed"}
SCORE_ANSWER: dict[str, Any] = {"score": 0.02, "decision": "APPROVE", "reasons": ["velocity"]}


class Constant:
    """A transport that answers at once, so that only its client's work is left."""

    address = "constant"

    def __init__(self, data: Any) -> None:
        self._reply = Reply(200, data, 1.0, request_bytes=500, response_bytes=250)

    def send(self, request: Request) -> Reply:
        return self._reply

    def authorize(self, token: str) -> None: ...

    def close(self) -> None: ...


class Stages:
    """The components of one run, each ready to be called by itself."""

    def __init__(self, url: str) -> None:
        self.parts: Parts = build_parts(parse_scenario(SCENARIO, "benchmark", {}), 7, 1.0)
        self.http = HttpTransport(url, rng=random.Random(1))
        directory = AccountDirectory(1)
        for index in range(CUSTOMERS):
            directory.add(index, f"customer-{index}", [f"account-{index}"])
        self.directory = directory
        self.measures = Measures()
        self.feed = Feed(self.parts.world)
        self.bank = NexumClient(Constant(BANK_ANSWER), directory, books=MovementBooks(self.measures.books))
        self.detector = BastionClient(Constant(SCORE_ANSWER), directory)
        environment = Environment(events=locust.events)
        environment.create_local_runner()
        self.statistics = LocustStatistics(environment)
        self.seats = Seats([ANY_PERSONA])
        self.executor = Executor(
            Targets(self.bank, self.detector, directory),
            self.measures,
            self.feed,
            "post_then_score",
            lambda planned, outcome: None,
            self.moment,
        )
        self.planned: list[Planned] = []
        for _ in range(WARM_UP):
            self.plan()
        self.outcome = Outcome(
            BankReply(BankStatus.POSTED, "", 1.0), ScoreReply(0.02, Decision.APPROVE, (), 1.0), 0.1, 2.0
        )
        self.call = Call("nexum", "POST", "/transactions/deposit", 1.0, 200, 500, 250, None)

    def moment(self) -> At:
        now_s = time.monotonic()
        return At(now_s, self.parts.clock.sim_at(now_s))

    def is_open(self, index: int) -> bool:
        return self.directory.account_id(AccountRef(index)) is not None

    def plan(self) -> None:
        """The next arrival, planned together with those that follow it."""
        planned = self.parts.activity.plan(self.parts.arrivals.take(), self.directory.is_open)
        if planned is not None:
            self.planned.append(planned)
            del self.planned[:-PER_ROUND]

    def hand_over(self) -> None:
        self.seats.put(ANY_PERSONA, Arrival(0.0, self.planned[0]))
        gevent.sleep(0)

    def user(self) -> None:
        while True:
            self.seats.take(ANY_PERSONA)

    def observe(self) -> None:
        self.measures.called(self.moment(), (self.call,))
        self.statistics.add(self.call)

    def count(self, planned: Planned) -> None:
        at = self.moment()
        self.measures.offered(at)
        self.measures.started(at)
        self.measures.ended(at, (Ended(planned, self.outcome),))
        self.feed.offer(planned, self.outcome, at.wall_s)


def cpu_us(step: Callable[[], object], times: int = PER_ROUND) -> float:
    started_s = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - started_s) / times * 1e6


def over(stages: Stages, step: Callable[[Planned], object]) -> float:
    """CPU µs of a step over different transactions."""
    started_s = time.process_time()
    for planned in stages.planned:
        step(planned)
    return (time.process_time() - started_s) / len(stages.planned) * 1e6


def one_round(stages: Stages) -> dict[str, float]:
    body = {"amount": {"amount": "12.50", "currency": "USD"}, "text": "x" * 220}
    path = "/transactions/deposit"
    request = Request("POST", path, path, body)
    stages.parts.clock.segments.clear()
    stages.parts.clock.start(time.monotonic())
    figures = {
        "draw the arrival, choose the transaction": cpu_us(stages.plan),
        "hand it to a user": cpu_us(stages.hand_over),
        "bank: build, judge, keep books": over(stages, lambda p: stages.bank.post(p.transaction)),
        "detector: build, read": over(stages, lambda p: stages.detector.score(p.transaction)),
        "two HTTP calls": 2 * cpu_us(lambda: stages.http.send(request)),
        "observe two calls": 2 * cpu_us(stages.observe),
        "join with the truth, count, feed": over(stages, stages.count),
    }
    arrivals = [Arrival(time.monotonic(), planned) for planned in stages.planned]
    figures["(executor, all but HTTP and observing)"] = cpu_us(
        lambda: stages.executor.perform(arrivals.pop()), len(arrivals)
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with target() as nginx:
        stages = Stages(nginx.url)
        user = gevent.spawn(stages.user)
        taken = [one_round(stages) for _ in range(rounds)]
        user.kill()
        stages.http.close()
    medians = {name: statistics.median(figures[name] for figures in taken) for name in taken[0]}
    whole = sum(value for name, value in medians.items() if not name.startswith("("))
    print(machine())
    print(f"{'stage':42}{'µs CPU':>8}{'share':>8}")
    for name, value in medians.items():
        print(f"{name:42}{value:8.1f}{'' if name.startswith('(') else f'{value / whole:8.0%}'}")
    print(f"{'a whole transaction':42}{whole:8.1f}")
    print(f"{'per HTTP call':42}{whole / 2:8.1f}")


if __name__ == "__main__":
    main()
