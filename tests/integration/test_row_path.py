"""Rows without a user of their own are the same load: same bytes on the wire, same measures, same books.

Each case is run twice with one seed: by users, who carry out one arrival each, and by the block.  Both
systems answer by what they are asked alone, so that a difference can only come from here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import orjson
import pytest

from banksim.measure import Measures
from banksim.measure.detection import Detection
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT, UserQueues
from banksim.run.kafka import Brokers
from banksim.run.local_load import prepare_local_load
from banksim.run.plan import Mode, RunSettings, build_parts
from banksim.run.run import End
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import parse_scenario
from banksim.world.random import Ints
from tests.unit.run.makers import Kept
from tests.unit.targets.odd_servers import Conversation, Seen, odd_server

#: A campaign's step that comes late on a busy machine is another one: seven simulated seconds a millisecond.
pytestmark = pytest.mark.timing

SCENARIO = """\
name: Twice the same
duration_hours: 2
speed_multiplier: 7200
start_at: 2026-01-05 09:00:00
customers: 40
warm_up_hours: 0.5
connections: {max_retries: 1}
transaction_rate: {peak_tps: 400, off_peak_tps: 400}
"""
ATTACK = """\
fraud:
  rate: 0.1
  decoy_rate: 0.02
  patterns: [{type: card_testing, count: 20}, {type: velocity_attack}, {type: mule_network}]
"""
YEN = "accounts_per_customer: 2\ncurrency: JPY\nlocale: ja_JP\ninitial_balance: 500000\n"
QUIET = "fraud: {rate: 0, decoy_rate: 0}\n"


@dataclass(frozen=True)
class Case:
    """A scenario, and what share of the calls goes wrong in which way."""

    more: str
    seed: int
    faults: tuple[str, ...] = ()


CASES = {
    "bank first": Case(ATTACK, 3),
    "detector first": Case(ATTACK + "flow: score_then_post\n", 4),
    "faults": Case(ATTACK, 5, ("500", "503", "garbage", "hang up", "refuse", "chunked", "slow")),
    "faults, detector first": Case(
        ATTACK + "flow: score_then_post\n", 6, ("500", "garbage", "hang up", "refuse", "no score")
    ),
    "two accounts in a currency without digits": Case(
        QUIET + YEN,
        7,
        ("refuse",),
    ),
    "merchants with accounts": Case(ATTACK + "accounts_per_customer: 2\nactivity: {hot_accounts: 3}\n", 9),
    "people who join": Case(QUIET + "onboarding: {existing_share: 0.5}\n", 8),
}


def drawn(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


def id_of(request: bytes) -> bytes:
    found = re.search(rb'"(?:reference|transaction_id)":"([^"]+)"', request)
    return found.group(1) if found else b""


def both(faults: tuple[str, ...]) -> Any:
    """A bank and a detector in one.  Of every ten transactions one meets a fault, always the same one."""

    def behave(c: Conversation) -> None:
        while request := c.request():
            if request.startswith(b"POST /customers"):
                body = request.partition(b"\r\n\r\n")[2]
                c.answer(b'{"customer_id":"c-%x"}' % drawn(body), "201 Created")
            elif request.startswith(b"PUT"):
                c.answer(b"{}")
            elif request.startswith(b"POST /accounts"):
                number = orjson.loads(request.partition(b"\r\n\r\n")[2])["account_number"]
                c.answer(orjson.dumps({"account_id": f"a-{number[-9:]}"}), "201 Created")
            elif b'"opening-' not in request and faults and (draw := drawn(id_of(request))) % 10 == 0:
                if not spoil(c, faults[draw // 10 % len(faults)], b"POST /score" in request):
                    return
            else:
                c.answer(usual(request))

    return behave


def usual(request: bytes) -> bytes:
    if b"POST /score" not in request:
        return b'{"state":"completed"}'
    share = drawn(b"score" + id_of(request)) % 100
    word = "BLOCK" if share < 5 else "REVIEW" if share < 15 else "APPROVE"
    reasons = ["velocity"] if share < 9 else []
    return orjson.dumps({"score": 1 - share / 100, "decision": word, "reasons": reasons})


def spoil(c: Conversation, fault: str, is_score: bool) -> bool:
    """Whether the connection goes on."""
    if fault == "hang up":
        return False
    if fault == "slow":
        gevent.sleep(0.05)
    if fault == "chunked":
        body = b'{"state":"completed","score":0.5,"decision":"REVIEW"}'
        c.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
    elif fault in ("500", "503"):
        c.answer(b'{"detail":"not today"}', f"{fault} Oops")
    elif fault == "garbage":
        c.answer(b"<p>no</p>")
    elif fault == "no score" and is_score:
        c.answer(b'{"state":"completed"}')
    elif fault == "refuse" and not is_score:
        c.answer(b'{"detail":"Insufficient funds: available 1"}', "400 Bad Request")
    else:
        c.answer(b'{"state":"completed","score":0.5,"decision":"APPROVE"}')
    return True


@dataclass
class Played:
    """What one run sent, measured and expects, and what it was told of each transaction."""

    wire: Counter[bytes]
    measures: Measures
    kept: Kept
    customers: Ints


@contextmanager
def users_of(queues: UserQueues) -> Iterator[None]:
    def work(seat: str) -> None:
        while True:
            queues.take(seat).carry_out()

    users = [gevent.spawn(work, seat) for seat in (ANY_PERSONA, FRAUD_SEAT) for _ in range(30)]
    try:
        yield
    finally:
        gevent.killall(users)


def play(case: Case, folder: Path, idle: tuple[str, ...]) -> Played:
    with odd_server(both(case.faults)) as seen:
        urls = f"connections: {{nexum_url: {seen.url}, bastion_url: {seen.url}, "
        text = SCENARIO.replace("connections: {", urls)
        scenario = parse_scenario(text + case.more, "twice.yaml", {})
        settings = RunSettings(
            scenario, case.seed, scenario.speed_multiplier, Mode.LIVE, folder, run_id="20260105-090000-0000"
        )
        plan = build_parts(scenario, case.seed, settings.speed)
        queues, kept = UserQueues([ANY_PERSONA, FRAUD_SEAT], idle), Kept()
        with prepare_local_load(settings, plan, Timekeeper(plan.clock), queues, Brokers(), [kept]) as load:
            load.open_customers(lambda _: None)
            with users_of(queues):
                load.begin()
                load.wait()
                load.drain(End.COMPLETED)
            assert load.backlog.in_flight == 0
            taken = queues.taken
            measures = load.measures
    if idle:
        assert taken < measures.tally.offered / 2, "the rest needed no user"
    else:
        assert taken == measures.tally.offered - measures.tally.dropped
    return Played(sent(seen), measures, kept, load.customers.table)


def sent(seen: Seen) -> Counter[bytes]:
    """Every request, without what tells servers apart and where they were read from."""
    # The port's digits may also stand in an id.
    host = f"127.0.0.1:{seen.port}\r\n".encode()
    found = Counter(request.replace(host, b"127.0.0.1:PORT\r\n", 1) for request in seen.requests)
    # A score is asked for again where the connection was lost, once more where that one had rested.
    return Counter({request: 1 if is_spoilt(request) else n for request, n in found.items()})


def is_spoilt(request: bytes) -> bool:
    return b"POST /score" in request and drawn(id_of(request)) % 10 == 0


def counts(measures: Measures) -> dict[str, Any]:
    """What does not depend on how fast this machine is."""
    books = measures.books.to_state()
    return {
        "tally": measures.tally.as_dict(),
        "detection": [judged(quality.detection) for quality in (measures.warm, measures.cold)],
        "calls": {key: histogram.count for key, histogram in measures.calls.by_call.items()},
        "failed": measures.calls.failed,
        "errors": dict(measures.calls.errors.counts),
        "drops": measures.drop_reasons.counts,
        "latencies": {name: series.count for name, series in measures.latency.items()},
        "failed responses": measures.warm.failed_response.count,
        "books": books | {"unanswered": sorted(books["unanswered"])},
    }


def judged(detection: Detection) -> dict[str, Any]:
    """Figures that do not depend on the order or on the times of the answers."""
    groups = {"genuine": detection.genuine, **detection.fraud, **detection.decoys}
    return {
        "groups": {name: group.to_state()["counts"] for name, group in groups.items()},
        "personas": detection.personas.to_state(),
        "channels": detection.channels.to_state(),
        "campaigns": detection.campaigns.to_state(),
    }


def outcomes(kept: Kept) -> dict[str, Any]:
    """What each transaction came to, by its id."""
    return {
        planned.transaction.transaction_id: (
            planned,
            outcome.bank.status,
            outcome.bank.detail,
            outcome.detector.score,
            outcome.detector.decision,
            outcome.detector.reasons,
            outcome.detector.error,
        )
        for planned, outcome in kept.results
    }


@pytest.mark.parametrize("name", CASES)
def test_rows_and_users_send_and_count_the_same(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    by_users, by_rows = play(case, tmp_path, ()), play(case, tmp_path, (ANY_PERSONA,))
    assert by_rows.measures.tally.finished > 300
    assert outcomes(by_rows.kept) == outcomes(by_users.kept)
    assert by_rows.wire == by_users.wire
    assert by_rows.customers.sum(axis=0)[:2].all()
    assert (by_rows.customers == by_users.customers).all()
    one, other = counts(by_rows.measures), counts(by_users.measures)
    for what in one:
        assert one[what] == other[what], what
