"""The row path at the stand-ins: nothing is lost, nothing is booked twice, whatever the systems do."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import gevent
import pytest

from banksim.model import AccountRef, BankStatus, Kind, Transaction
from banksim.sandbox.http import (
    CONTROL_PATH,
    CONTROL_TOKEN,
    ERRORS,
    GARBAGE,
    HANGS,
    LATENCY,
    RESETS,
    ActiveFault,
)
from banksim.targets import ClientSettings, HttpTransport, Request, SandboxProcess, Targets, http_targets
from banksim.targets.bastion import SCORE_PATH, score_body
from banksim.targets.carrier import Carrier, results_of
from banksim.targets.http.lanes import Trip
from banksim.targets.nexum_wire import movement_body, movement_of
from banksim.world import Population, load_personas
from tests.unit.targets.people import Notebook, transaction

CUSTOMERS = 8
TOKEN = "for-the-tests"
KINDS = (Kind.PURCHASE, Kind.DEPOSIT, Kind.TRANSFER, Kind.SALARY, Kind.WITHDRAWAL)
EVERYTHING = [
    ActiveFault(0, LATENCY, 0.5, (0.0, 20.0)),
    ActiveFault(1, ERRORS, 0.05, status=503),
    ActiveFault(2, ERRORS, 0.05, status=500),
    ActiveFault(3, RESETS, 0.05),
    ActiveFault(4, GARBAGE, 0.05),
    ActiveFault(5, HANGS, 0.01),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(environment={CONTROL_TOKEN: f"{TOKEN}:7"}) as process:
        yield process


def set_faults(sandbox: SandboxProcess, faults: Sequence[ActiveFault]) -> None:
    for name in ("bank", "detector"):
        control = HttpTransport(sandbox.address_of(name), rng=random.Random(0), token=TOKEN, max_retries=0)
        body = {"faults": [fault.as_dict() for fault in faults]}
        assert control.send(Request("PUT", CONTROL_PATH, CONTROL_PATH, body)).status == 200
        control.close()


def planned(row: int) -> Transaction:
    kind = KINDS[row % len(KINDS)]
    other = AccountRef((row + 1) % CUSTOMERS) if kind is Kind.TRANSFER else None
    return transaction(
        kind,
        transaction_id=f"row-{row}",
        account=AccountRef(row % CUSTOMERS),
        counterparty=other,
        amount_cents=100 + row % 50 if row % 20 else 9_999_999,  # some are refused
    )


class Run:
    """A carrier at the stand-ins, with the books that its results are entered into."""

    def __init__(
        self, sandbox: SandboxProcess, *, score_first: bool = False, timeout_s: float = 10.0
    ) -> None:
        self.notebook = Notebook()
        settings = ClientSettings(seed=1, timeout_s=timeout_s, account_prefix=f"L{time.monotonic_ns()}")
        self.targets: Targets = http_targets(
            sandbox.nexum_url, sandbox.bastion_url, settings, self.notebook, self.notebook
        )
        bank = self.targets.bank
        assert bank is not None
        population = Population(1, CUSTOMERS, load_personas())
        for index in range(CUSTOMERS):
            assert bank.open_customer(population.customer(index))
        self.opened = len(self.notebook.calls)
        self.to_bank = HttpTransport(sandbox.nexum_url, rng=random.Random(0))
        self.to_detector = HttpTransport(sandbox.bastion_url, rng=random.Random(0))
        self.trips: dict[int, Trip] = {}
        self.carrier = Carrier(
            bank,
            self.targets.detector,
            planned,
            self._flush,
            score_first=score_first,
            concurrency=16,
            timeout_s=timeout_s,
            drop_after_s=30.0,
        )

    def _flush(self, trips: list[Trip]) -> None:
        for trip in trips:
            assert trip.row not in self.trips
            self.trips[trip.row] = trip

    def carry(self, rows: range, per_s: float = 1_000.0) -> None:
        for row in rows:
            tx = planned(row)
            ids = [self.targets.directory.account_id(ref) for ref in (tx.account, tx.counterparty) if ref]
            account, other = [*ids, None][:2]
            path = f"/transactions/{movement_of(tx)}"
            post = self.to_bank.encode(Request("POST", path, path, movement_body(tx, account or "", other)))
            body = score_body(tx, self.targets.directory)
            score = self.to_detector.encode(Request("POST", SCORE_PATH, SCORE_PATH, body))
            assert self.carrier.put(row, time.monotonic(), post, score)
            gevent.sleep(1.0 / per_s)
        self.carrier.drain(30.0)
        gevent.sleep(0.05)

    def assert_books_agree(self) -> None:
        """At the end: every account holds what was certainly booked, give or take what is unknown."""
        self.carrier.close()
        low: Counter[str] = Counter()
        high: Counter[str] = Counter()

        def enter(account_id: str, cents: int, certain: bool) -> None:
            low[account_id] += cents if certain else min(0, cents)
            high[account_id] += cents if certain else max(0, cents)

        for movement in self.notebook.movements:
            enter(*movement)
        for trip in self.trips.values():
            if trip.bank_by_client or trip.bank.status not in (BankStatus.POSTED, BankStatus.UNKNOWN):
                continue
            tx, certain = planned(trip.row), trip.bank.status is BankStatus.POSTED
            sign = 1 if movement_of(tx) == "deposit" else -1
            enter(self.targets.directory.account_id(tx.account) or "", sign * tx.amount_cents, certain)
            if movement_of(tx) == "transfer" and tx.counterparty is not None:
                enter(self.targets.directory.account_id(tx.counterparty) or "", tx.amount_cents, certain)
        assert self.targets.bank is not None
        for _, account_id in self.targets.directory.accounts():
            cents = self.targets.bank.balance_cents(account_id)
            assert cents is not None
            assert low[account_id] <= cents <= high[account_id]
        self.targets.close()


@pytest.mark.parametrize("score_first", [False, True])
def test_a_well_behaved_bank_and_detector(sandbox: SandboxProcess, score_first: bool) -> None:
    set_faults(sandbox, [])
    run = Run(sandbox, score_first=score_first)
    run.carry(range(400))
    run.assert_books_agree()
    assert len(run.trips) == 400
    columns = results_of(list(run.trips.values()))
    statuses = Counter(trip.bank.status for trip in run.trips.values())
    assert set(statuses) <= {BankStatus.POSTED, BankStatus.REFUSED, BankStatus.SKIPPED}
    assert statuses[BankStatus.POSTED] > (20 if score_first else 300), "the detector blocks some"
    assert (columns.score >= 0).all()
    assert not columns.score_counted.any()
    by_client = sum(trip.bank_by_client for trip in run.trips.values())
    assert by_client == statuses[BankStatus.REFUSED], "refusals are judged by the full client, nothing else"


def test_everything_goes_wrong_at_once(sandbox: SandboxProcess) -> None:
    """Faults of every kind in both systems: each row ends once, and the balances agree."""
    set_faults(sandbox, [])
    run = Run(sandbox, timeout_s=1.0)
    set_faults(sandbox, EVERYTHING)
    run.carry(range(600))
    set_faults(sandbox, [])
    assert run.carrier.in_flight == 0
    assert sorted(run.trips) == list(range(600))
    statuses = Counter(trip.bank.status for trip in run.trips.values())
    assert statuses[BankStatus.POSTED] > 300
    assert statuses[BankStatus.UNKNOWN] > 10
    assert statuses[BankStatus.FAILED] > 10
    unscored = sum(trip.score.score is None for trip in run.trips.values())
    assert 5 < unscored < 200, "lost scores are asked for again, unusable ones are not"
    assert run.notebook.under_way == 0
    run.assert_books_agree()


def test_a_target_that_dies_and_comes_back(sandbox: SandboxProcess) -> None:
    set_faults(sandbox, [])
    run = Run(sandbox)
    carrying = gevent.spawn(run.carry, range(300), 400.0)
    gevent.sleep(0.3)
    sandbox.kill("detector")
    carrying.get()
    sandbox.restart("detector")
    row = 300
    with gevent.Timeout(30):
        while run.targets.breakers[1].status.opened and not run.targets.breakers[1].closed:
            run.carry(range(row, row + 1))
            row += 1
    run.carry(range(1_000, 1_050))
    run.assert_books_agree()
    assert sorted(run.trips) == [*range(row), *range(1_000, 1_050)]
    assert all(trip.bank.status is not BankStatus.UNKNOWN for trip in run.trips.values())
    lost = [number for number, trip in run.trips.items() if trip.score.score is None]
    assert len(lost) > 50
    assert max(lost) < 1_000, "it carries on"
