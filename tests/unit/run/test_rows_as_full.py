"""A row through the lanes and through the full clients: the same bytes on the wire, the same measures.

What a scenario plans is planned once.  Each generated case plays a stretch of it twice against one server in
this process: its rows by the `RowExecutor`, then one by one by the `Executor`, which is all that users
have.  The server spoils answers by what it is asked and how often, so that a difference can only come from
here.  Time is no part of it: moments are constants, and of durations only the number is compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import orjson
import pytest
from gevent.pool import Pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banksim.measure import Measures
from banksim.model import At, BankReply, BankStatus, Decision, Outcome, Planned, ScoreReply
from banksim.run.dispatcher import Arrival
from banksim.run.executor import Executor, RowExecutor
from banksim.run.invariant import MovementBooks
from banksim.run.plan import LiveSimulation, Parts, build_parts, counting
from banksim.run.sink import CustomerCounts, Feed, Tee
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import Scenario, parse_scenario
from banksim.schedule.clock import Clock
from banksim.schedule.simulation import Due, Rows, Simulation
from banksim.targets import Call, ClientSettings, Targets, http_targets
from banksim.targets.calls import Relay
from banksim.targets.http import client as http_client
from banksim.targets.http.client import RetryBudget
from tests.unit.run.faulty_server import CLOSING, FAULTS, LOSSES, MAX_RETRIES, Faulty
from tests.unit.run.makers import Kept
from tests.unit.targets.odd_servers import Seen, odd_server

# -- What is played ---------------------------------------------------------------------------------

CUSTOMERS = 40
PLAIN = f"""\
name: Twice the same
duration_hours: 30
speed_multiplier: 600
start_at: 2026-01-30 06:00:00
customers: {CUSTOMERS}
warm_up_hours: 2
transaction_rate: {{peak_tps: 4, off_peak_tps: 4}}
"""
ATTACK = """\
fraud:
  rate: 0.1
  decoy_rate: 0.02
  patterns: [{type: card_testing, count: 10}, {type: velocity_attack}, {type: mule_network}, {type: smurfing}]
"""
QUIET = "fraud: {rate: 0, decoy_rate: 0}\n"
WORLDS = (
    PLAIN + ATTACK,
    PLAIN + QUIET + "accounts_per_customer: 3\ncurrency: JPY\nlocale: ja_JP\ninitial_balance: 500000\n",
    PLAIN + ATTACK + "accounts_per_customer: 2\nactivity: {hot_accounts: 3}\ncurrency: EUR\nlocale: de_DE\n",
    PLAIN + QUIET + "onboarding: {existing_share: 0.5}\ninitial_balance: 20\n",
    PLAIN + QUIET + "activity: {hot_accounts: 1}\npersonas: {student: {share: 0.9}}\n",
)
#: Customers of whom the bank knows nothing.
NOT_OPEN = 7
#: Rows of one case, at most.
MOST_ROWS = 60
#: When everything happens.
NOW = At(1.0, 9_000.0)
FINE = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.1, Decision.APPROVE), lag_ms=0.0, service_ms=1.0)


@dataclass(frozen=True)
class Stage:
    """A scenario, its plan, and all that falls due in it, in order."""

    scenario: Scenario
    parts: Parts
    events: tuple[Rows[Any] | Due, ...]


@cache
def stage_of(text: str) -> Stage:
    scenario = parse_scenario(text, "twice.yaml", {})
    parts = build_parts(scenario, 5, scenario.speed_multiplier)
    simulation: LiveSimulation = Simulation(parts, has_account=lambda index: index % NOT_OPEN != 3)
    events: list[Rows[Any] | Due] = []
    while simulation.peek() is not None:
        event = simulation.step(scenario.duration_s, MOST_ROWS)
        if isinstance(event, Due):
            simulation.answered(event.planned, FINE)
        if isinstance(event, Due | Rows):
            events.append(event)
    return Stage(scenario, parts, tuple(events))


# -- Playing ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """``one_by_one``: a row is put when the one before has ended; else all that fall due together at once."""

    world: int
    start: int
    rows: int
    flow: str
    bank: str
    detector: str
    faults: tuple[str, ...]
    times: int
    one_by_one: bool
    users: int
    token_ends_after: int
    batch_size: int
    events_wanted: bool
    late: bool

    @property
    def loses_connections(self) -> bool:
        return any(fault in LOSSES or fault in CLOSING for fault in self.faults)


def cases() -> st.SearchStrategy[Case]:
    made = st.builds(
        Case,
        world=st.integers(0, len(WORLDS) - 1),
        start=st.integers(0, 2_000),
        rows=st.integers(20, MOST_ROWS),
        flow=st.sampled_from(["post_then_score", "score_then_post"]),
        bank=st.sampled_from(["nexum", "nexum", "nexum", "plain_bank", ""]),
        detector=st.sampled_from(["bastion", "bastion", "bastion", "plain_detector", ""]),
        faults=st.lists(st.sampled_from(FAULTS), max_size=5, unique=True).map(tuple),
        times=st.sampled_from([1, 2, 99]),
        one_by_one=st.booleans(),
        users=st.integers(1, 9),
        token_ends_after=st.sampled_from([0, 0, 12]),
        batch_size=st.sampled_from([1, 1, 1, 3]),
        events_wanted=st.booleans(),
        late=st.sampled_from([False, False, False, True]),
    )
    return made.filter(lambda case: bool(case.bank or case.detector)).map(possible)


def possible(case: Case) -> Case:
    """Who meets the end of a token, and which scores share a batch, depends on the order."""
    changes: dict[str, Any] = {}
    if not case.one_by_one:
        changes |= {"token_ends_after": 0, "batch_size": 1}
        if case.bank and case.detector:  # a close that comes with an answer may be seen too late by a moment
            changes["faults"] = tuple(fault for fault in case.faults if fault != "closes")
    if case.bank != "nexum" or "401" in case.faults:
        changes["token_ends_after"] = 0
    return Case(**{**vars(case), **changes})


class HalfLate(Clock):
    """What falls due up to ``late_until_s`` is an hour late, everything else an hour early."""

    late_until_s = -1.0

    def wall_at(self, sim_s: float) -> float:
        return time.monotonic() + (3_600.0 if sim_s > self.late_until_s else -3_600.0)


class Stopped(Timekeeper):
    """It is always the same moment."""

    def now(self) -> At:
        return NOW


class Told:
    """Keeps what the bank answered, as events would; ``wanted`` as a run without Kafka has it."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.answers: list[tuple[str, BankStatus, str]] = []

    def transaction(self, planned: Planned, reply: BankReply) -> None:
        self.answers.append((planned.transaction.transaction_id, reply.status, reply.detail))


@dataclass
class Played:
    wire: list[bytes]
    measures: Measures
    kept: Kept
    told: Told
    customers: CustomerCounts
    circuits: list[Any]


class Player:
    """Plays one case in one of the two ways."""

    def __init__(self, case: Case, url: str) -> None:
        self.case = case
        self.stage = stage_of(WORLDS[case.world])
        scenario, parts = self.stage.scenario, self.stage.parts
        scenario = scenario.model_copy(update={"flow": case.flow, "max_users": case.users})
        self.measures, self.kept, self.told = Measures(counting(scenario)), Kept(), Told(case.events_wanted)
        self.customers = CustomerCounts(CUSTOMERS)
        self.tee = Tee([self.measures, self.kept, self.customers])
        entered = MovementBooks(self.measures.books)
        self.targets = self._targets(url, scenario, entered)
        events = self.stage.events
        first = case.start % max(1, len(events) - 3)
        self.events = events[first : first + 12]
        clock = HalfLate(scenario.duration_s, scenario.speed_multiplier)
        if case.late:
            clock.late_until_s = moment_of(self.events[len(self.events) // 2])
        self.timekeeper = Stopped(clock)
        self.executor = Executor(self.targets, case.flow, self.tee, self.timekeeper, self.told)
        self.rows = RowExecutor(
            self.targets, parts, scenario, self.tee, self.timekeeper, self.told, entered, Feed(parts.world)
        )

    def _targets(self, url: str, scenario: Scenario, entered: MovementBooks) -> Targets:
        case = self.case
        adapters = {
            role: {"adapter": adapter}
            for role, adapter in (("bank", case.bank), ("detector", case.detector))
            if adapter.startswith("plain")
        }
        blocks = parse_scenario(
            PLAIN + (f"targets: {orjson.dumps(adapters).decode()}\n" if adapters else ""), "t.yaml", {}
        ).targets
        made = http_targets(
            url if case.bank else "",
            url if case.detector else "",
            ClientSettings(
                seed=1,
                currency=scenario.currency,
                max_retries=MAX_RETRIES,
                concurrency=case.users,
                nexum_username="somebody" if case.token_ends_after else "",
                nexum_password="secret",
                nexum_token="token-1" if case.token_ends_after else "",
                batch_size=case.batch_size,
                batch_wait_s=0.001,
                breaker=case.one_by_one,
                blocks=blocks,
                base=Path(),
                hot_accounts=scenario.activity.hot_accounts,
                accounts_per_customer=scenario.accounts_per_customer,
            ),
            lambda call: self.tee.called(NOW, (call,)),
            entered,
        )
        for client in (made.bank, made.detector):
            if client is not None and (case.loses_connections or not case.one_by_one):
                # Who finds it empty depends on the order, and on what rested.
                inner: Any = client.transport
                while isinstance(inner, Relay):
                    inner = inner._transport
                inner._budget = RetryBudget(1e9)
        for breaker in made.breakers:
            breaker._monotonic = lambda: 0.0  # open is open to the end
        slots = scenario.accounts_per_customer + (scenario.activity.hot_accounts > 0)
        for index in range(CUSTOMERS):
            if index % NOT_OPEN != 3:
                made.directory.add(index, f"c-{index}", [f"a-{index}-{slot}" for slot in range(slots)])
        return made

    def play(self, by_rows: bool, seen: Seen) -> Played:
        left = self.case.rows
        with gevent.Timeout(30):
            for event in self.events:
                if isinstance(event, Due):
                    self.tee.offered(NOW)
                    self.executor.perform(self._arrival(event.planned))
                    continue
                block, start, end, _ = event
                end = min(end, start + left)
                left -= end - start
                self.tee.offered(NOW, end - start)
                step = 1 if self.case.one_by_one else max(1, end - start)
                for first in range(start, end, step):
                    positions = range(first, min(first + step, end))
                    if by_rows:
                        self._by_rows(block, positions)
                    else:
                        self._by_clients(block, positions)
                self.rows.carrier._give()
        self.rows.carrier.close()
        circuits = self.targets.circuits()
        self.targets.close()
        wire, seen.requests = seen.requests, []
        return Played(wire, self.measures, self.kept, self.told, self.customers, circuits)

    def _by_rows(self, block: Any, positions: range) -> None:
        carrier = self.rows.carrier
        self.rows.put(NOW, block, positions)
        while carrier.in_flight > len(carrier._finished):
            gevent.sleep(0.0002)
        # A close that came with the last answer is seen in a turn of the loop of its own.
        for _ in range(2 if "closes" in self.case.faults else 0):
            gevent.sleep(0.0002)

    def _by_clients(self, block: Any, positions: range) -> None:
        pool = Pool(self.case.users)
        for position in positions:
            pool.spawn(self.executor.perform, self._arrival(block.planned(position)))
        pool.join(raise_error=True)

    def _arrival(self, planned: Planned) -> Arrival:
        return Arrival(self.timekeeper.clock.wall_at(planned.sim_s), planned, self.executor)


def moment_of(event: Rows[Any] | Due) -> float:
    return float(event.block.sim_s[event.start]) if isinstance(event, Rows) else event.sim_s


# -- What has to be equal ---------------------------------------------------------------------------


def outcomes(kept: Kept) -> list[Any]:
    """What each transaction came to."""
    return [
        (
            planned,
            outcome.bank.status,
            outcome.bank.detail,
            outcome.bank.limit,
            outcome.detector.score,
            outcome.detector.decision,
            outcome.detector.reasons,
            outcome.detector.error,
            outcome.lag_ms,
        )
        for planned, outcome in kept.results
    ]


def calls(kept: Kept) -> list[Call]:
    """Every call, without how long it took."""
    return [call._replace(latency_ms=0.0) for call in kept.calls]


def figures(measures: Measures, in_order: bool) -> dict[str, Any]:
    """The whole state; of figures that are durations only how many there are."""
    state = measures.to_state()
    for name, quality in (("warm", measures.warm), ("cold", measures.cold)):
        state[name]["latency"] = {key: series.count for key, series in quality.latency.items()}
        state[name]["failed_response"] = quality.failed_response.count
        state[name]["unscored_response"] = quality.unscored_response.count
        found, detection = state[name]["detection"], quality.detection
        found["scores"] = None  # in the order in which they were first seen
        for key, group in (
            ("genuine", detection.genuine),
            *detection.fraud.items(),
            *detection.decoys.items(),
        ):
            which = found if key == "genuine" else found["fraud" if key in found["fraud"] else "decoys"]
            used = group.scores.counts.nonzero()[0]
            values = np.array(group.scores.scale.values)[used].tolist()
            counts = zip(
                values, group.scores.counts[used].tolist(), group.scores.cents[used].tolist(), strict=True
            )
            which[key]["scores"] = sorted(counts)
        if (
            not in_order
        ):  # what a campaign lost before its first alert, and what scores came next to each other
            del found["drift"]
            found["campaigns"] = {key: line[:5] for key, line in found["campaigns"]["lines"].items()}
    told = state["calls"]
    told["calls"] = sorted(
        [*line[:-1], measures.calls.by_call[line[0], line[1]].count] for line in told["calls"]
    )
    told["growth"] = {system: growth[:3] for system, growth in told["growth"].items()}
    told["errors"].sort()
    told["extremes"] = {
        "slowest": len(told["extremes"]["slowest"]),
        "failed": len(told["extremes"]["failed"]),
    }
    for _, bucket in state["timeline"]["buckets"]:
        bucket[2:4] = ()
    state["books"]["unanswered"].sort()
    return state


def difference(case: Case, one: Played, other: Played) -> str:
    """What differs first, empty where nothing does.  Several at once end in any order."""

    def ordered(values: list[Any]) -> list[Any]:
        return values if case.one_by_one else sorted(values, key=repr)

    pairs: list[tuple[str, Any, Any]] = [
        ("wire", *(ordered(played.wire) for played in (one, other))),
        ("outcomes", *(ordered(outcomes(played.kept)) for played in (one, other))),
        ("calls", *(sorted(calls(played.kept), key=repr) for played in (one, other))),
        ("drops", *(played.kept.dropped_for for played in (one, other))),
        ("told", *(ordered(played.told.answers) if case.events_wanted else [] for played in (one, other))),
        ("customers", one.customers.table.tolist(), other.customers.table.tolist()),
    ]
    mine, others = figures(one.measures, case.one_by_one), figures(other.measures, case.one_by_one)
    pairs += [(name, mine[name], others[name]) for name in mine]
    return "\n".join(found for what, a, b in pairs for found in islice(differing(a, b, what), 5))


def differing(one: Any, other: Any, where: str) -> Iterator[str]:
    """Where two values differ, as far inside as they are alike."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            yield from differing(one.get(key), other.get(key), f"{where}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (mine, others) in enumerate(zip(one, other, strict=True)):
            yield from differing(mine, others, f"{where}[{place}]")
    elif one != other:
        yield f"{where}: {one!r} by rows, {other!r} by clients"


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_a_row_is_what_the_full_clients_make_of_it(case: Case) -> None:
    server = Faulty()
    with odd_server(lambda c: server(c)) as seen:
        played = []
        for by_rows in (True, False):
            server = Faulty(case.faults, case.times, case.token_ends_after)
            played.append(Player(case, seen.url).play(by_rows, seen))
    assert played[0].measures.tally.offered >= 3
    assert not difference(case, *played)


@pytest.fixture(autouse=True, scope="module")
def at_once() -> Iterator[None]:
    """Retries do not wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_client, "LONGEST_WAIT_S", 0.0005)
        yield
