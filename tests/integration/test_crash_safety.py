"""kill -9 of the bank, and a crash of its database, lose no posting that was acknowledged."""

from __future__ import annotations

import time
from pathlib import Path

import gevent
import pytest
from gevent.pool import Pool

from banksim.measure import ExpectedBalances
from banksim.model import AccountRef, BankStatus, Kind
from banksim.run.connect import MovementBooks
from banksim.run.reconcile import read_accounts, settled
from banksim.sandbox import BankApi
from banksim.targets import ClientSettings, NexumClient, http_targets
from banksim.world import Population, load_personas
from tests.services.postgres import PostgresServer
from tests.services.sandbox import Server
from tests.unit.targets.people import transaction

CUSTOMERS = 8
POSTERS = 8


class Posters:
    """Greenlets that move a few cents back and forth until told to stop; they count what they are told."""

    def __init__(self, url: str) -> None:
        self.books = ExpectedBalances()
        settings = ClientSettings(seed=1, timeout_s=5)
        self.targets = http_targets(url, "", settings, books=MovementBooks(self.books))
        assert self.targets.bank is not None
        self.bank: NexumClient = self.targets.bank
        self.statuses: list[BankStatus] = []
        self._population = Population(1, CUSTOMERS, load_personas())
        self._stopped = False
        self._pool = Pool(POSTERS)

    def start(self) -> None:
        for index in range(CUSTOMERS):
            assert self.bank.open_customer(self._population.customer(index))
        for index in range(POSTERS):
            self._pool.spawn(self._post, index)

    def stop(self) -> None:
        self._stopped = True
        self._pool.join()

    def wait_for(self, more: int) -> None:
        """Until ``more`` further postings were acknowledged."""
        wanted = self.acknowledged + more
        with gevent.Timeout(20):
            while self.acknowledged < wanted:
                gevent.sleep(0.005)

    @property
    def acknowledged(self) -> int:
        return self.statuses.count(BankStatus.POSTED)

    def _post(self, index: int) -> None:
        number = 0
        while not self._stopped:
            number += 1
            kind = (Kind.DEPOSIT, Kind.TRANSFER, Kind.WITHDRAWAL)[number % 3]
            counterparty = AccountRef((index + 1) % CUSTOMERS) if kind is Kind.TRANSFER else None
            tx = transaction(
                kind,
                transaction_id=f"t-{index}-{number}",
                account=AccountRef(index % CUSTOMERS),
                counterparty=counterparty,
                amount_cents=number + 7,
            )
            self.statuses.append(self.bank.post(tx).status)
            gevent.sleep(0)


def assert_nothing_lost(posters: Posters) -> None:
    found = settled(posters.books, lambda names: read_accounts(posters.bank, names), settle_s=0.0)
    assert found.verdict == "balanced", found
    assert found.unread == 0
    # Only postings under way at the crash may be unknown: a few for each poster, who tries to go on.
    assert posters.statuses.count(BankStatus.UNKNOWN) <= 3 * POSTERS


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_kill_minus_nine_loses_no_acknowledged_posting(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if where == "sqlite":
        options = ("--database", str(tmp_path / "bank.db"))
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        options = ("--database-url", server.new_database("killed"))
    with Server("bank", *options) as bank:
        posters = Posters(bank.url)
        posters.start()
        posters.wait_for(60)
        bank.kill()
        bank.start()
        posters.wait_for(30)  # the circuit may have opened meanwhile, and closes again
        posters.stop()
        assert_nothing_lost(posters)
        posters.targets.close()


def test_a_crash_of_postgresql_loses_nothing_and_the_bank_comes_back_by_itself(
    postgres: PostgresServer,
) -> None:
    with Server("bank", "--database-url", postgres.new_database("crashed")) as bank:
        posters = Posters(bank.url)
        posters.start()
        posters.wait_for(60)
        postgres.kill()
        gevent.sleep(0.1)
        postgres.start()
        posters.wait_for(30)
        posters.stop()
        assert_nothing_lost(posters)
        posters.targets.close()


def test_the_hub_goes_on_while_postgresql_commits(postgres: PostgresServer) -> None:
    """Each wait for the database hands the processor on: measured as the gaps between heartbeats."""
    bank = BankApi(postgres.new_database("busy"))
    body = {"customer_id": "c", "product_type": "checking", "currency": "USD", "name": "Main"}
    account_id = bank.handle("POST", "/accounts", {}, body)[1]["account_id"]
    money = {"amount": "1.00", "currency": "USD"}
    deposit = {"account_id": account_id, "amount": money, "description": "d", "channel": "system"}
    gaps_ms: list[float] = []

    def heartbeat() -> None:
        while True:
            started_s = time.perf_counter()
            gevent.sleep(0.001)
            gaps_ms.append((time.perf_counter() - started_s) * 1000 - 1)

    heart = gevent.spawn(heartbeat)
    started_s = time.perf_counter()
    for _ in range(300):
        assert bank.handle("POST", "/transactions/deposit", {}, deposit)[0] == 200
    spent_ms = (time.perf_counter() - started_s) * 1000
    heart.kill()
    bank.close()
    gaps_ms.sort()
    assert len(gaps_ms) > 50, "the heart beat during the postings"
    assert gaps_ms[int(0.99 * len(gaps_ms))] < min(50.0, spent_ms / 2)
