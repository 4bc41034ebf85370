"""A carrier at servers of the test's own, with everything that it gave back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gevent

from banksim.model import (
    AccountRef,
    BankStatus,
    Kind,
    Outcome,
    Transaction,
)
from banksim.targets import AccountDirectory, BastionClient, HttpTransport, Login, NexumClient, Request
from banksim.targets.bastion import SCORE_PATH, score_body
from banksim.targets.calls import CircuitBreaker, GuardedTransport
from banksim.targets.carrier import (
    Carrier,
    outcome_of,
)
from banksim.targets.http import lanes as lane_module
from banksim.targets.http.lanes import Trip
from banksim.targets.nexum_wire import movement_body
from tests.unit.targets.people import Notebook, transaction

PATH = "/transactions/deposit"
DONE = b'{"transaction_id":"t","state":"completed"}'
SCORE = b'{"risk_score":0.25,"action":"REVIEW","reasons":["velocity"]}'
ANSWER_OF = {True: DONE, False: SCORE}  # to a movement or to a score


def planned(row: int) -> Transaction:
    return transaction(Kind.DEPOSIT, transaction_id=f"tx-{row}", account=AccountRef(row % 2))


@dataclass
class System:
    """Both clients at one or two servers, and what they reported."""

    bank_url: str = ""
    detector_url: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    login: Login = field(default_factory=Login)
    notebook: Notebook = field(default_factory=Notebook)

    def __post_init__(self) -> None:
        self.directory = AccountDirectory()
        self.directory.add(0, "c0", ["a0"])
        self.directory.add(1, "c1", ["a1"])
        self.breakers = {
            name: CircuitBreaker(name, first_pause_s=0.05, longest_pause_s=0.05)
            for name in ("Nexum", "Bastion")
        }
        self.bank = self.detector = None
        if self.bank_url:
            self.bank_http = self._http(self.bank_url)
            guarded = GuardedTransport(self.bank_http, self.breakers["Nexum"])
            self.bank = NexumClient(
                guarded, self.directory, observer=self.notebook, books=self.notebook, login=self.login
            )
        if self.detector_url:
            self.detector_http = self._http(self.detector_url)
            guarded = GuardedTransport(self.detector_http, self.breakers["Bastion"])
            self.detector = BastionClient(guarded, self.directory, observer=self.notebook)

    def _http(self, url: str) -> HttpTransport:
        options = {"timeout_s": 5.0, "max_retries": 2, **self.options}
        return HttpTransport(url, rng=random.Random(1), **options)

    def post_bytes(self, row: int) -> bytes:
        if self.bank is None:
            return b""
        tx = planned(row)
        body = movement_body(tx, self.directory.wire_account_id(tx.account), None)
        return self.bank_http.encode(Request("POST", PATH, PATH, body))

    def score_bytes(self, row: int) -> bytes:
        if self.detector is None:
            return b""
        body = score_body(planned(row), self.directory)
        return self.detector_http.encode(Request("POST", SCORE_PATH, SCORE_PATH, body))

    def close(self) -> None:
        for client in (self.bank, self.detector):
            if client is not None:
                client.close()


class Ride:
    """A carrier and everything it gave back, by row."""

    def __init__(self, system: System, **options: Any) -> None:
        self.system = system
        self.trips: dict[int, Trip] = {}
        self.transactions = 0
        options = {
            "timeout_s": system.options.get("timeout_s", 5.0),
            "followed": lambda: True,  # what ended is given back at once
            **options,
        }
        self.carrier = Carrier(system.bank, system.detector, self._transaction, self._flush, **options)

    def _transaction(self, row: int) -> Transaction:
        self.transactions += 1
        return planned(row)

    def _flush(self, trips: list[Trip]) -> None:
        for trip in trips:
            assert trip.row not in self.trips, "once"
            self.trips[trip.row] = trip

    def send(self, row: int, due_s: float | None = None, raw: bytes | None = None) -> None:
        due_s = lane_module.time.monotonic() if due_s is None else due_s
        post = self.system.post_bytes(row) if raw is None else raw
        assert self.carrier.put(row, due_s, post, self.system.score_bytes(row))

    def wait(self) -> None:
        with gevent.Timeout(20):
            while self.carrier.in_flight or self.carrier._finished:
                gevent.sleep(0.005)

    def outcome(self, row: int) -> Outcome:
        return outcome_of(self.trips[row])

    def booked(self) -> list[tuple[str, int, bool]]:
        """What the books know: from the full client, and from the halves that it did not see."""
        found = list(self.system.notebook.movements)
        for trip in self.trips.values():
            if not trip.bank_by_client and trip.bank.status in (BankStatus.POSTED, BankStatus.UNKNOWN):
                certain = trip.bank.status is BankStatus.POSTED
                found.append((f"a{trip.row % 2}", 1250, certain))
        return found


@contextmanager
def ride(system: System, **options: Any) -> Iterator[Ride]:
    riding = Ride(system, **options)
    try:
        yield riding
    finally:
        riding.carrier.close()
        system.close()
