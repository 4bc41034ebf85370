"""Postings a second of the stand-in bank on PostgreSQL, over HTTP.

    python -m benchmarks.bench_postgres [POSTERS ...]

A fresh PostgreSQL (from PyPI, for tests) and the bank as a process of its own, as
`banksim sandbox --database-url` starts it; so many clients post deposits, withdrawals and
transfers one after the other for six seconds.  Clients, bank and database share this machine.
"""

from __future__ import annotations

import sys
import time

import gevent
from gevent.pool import Pool

from banksim.model import AccountRef, BankStatus, Kind
from banksim.targets import ClientSettings, http_targets
from banksim.world import Population, load_personas
from tests.services.postgres import PostgresServer
from tests.services.sandbox import Server
from tests.unit.targets.people import transaction

CUSTOMERS = 64
WARM_UP_S = 1.0
MEASURED_S = 6.0
KINDS = (Kind.DEPOSIT, Kind.TRANSFER, Kind.WITHDRAWAL)


def measure(url: str, posters: int) -> float:
    """Acknowledged postings a wall second with ``posters`` clients."""
    targets = http_targets(url, "", ClientSettings(seed=posters, account_prefix=f"B{posters}"))
    bank = targets.bank
    assert bank is not None
    population = Population(1, CUSTOMERS, load_personas())
    for index in range(CUSTOMERS):
        bank.open_customer(population.customer(index))
    posted = 0

    def post(index: int) -> None:
        nonlocal posted
        number = 0
        while True:
            number += 1
            kind = KINDS[number % 3]
            tx = transaction(
                kind,
                transaction_id=f"t-{index}-{number}",
                account=AccountRef(index % CUSTOMERS),
                counterparty=AccountRef((index + 1) % CUSTOMERS) if kind is Kind.TRANSFER else None,
                amount_cents=number % 100 + 1,
            )
            status = bank.post(tx).status
            posted += status is BankStatus.POSTED

    pool = Pool(posters)
    for index in range(posters):
        pool.spawn(post, index)
    gevent.sleep(WARM_UP_S)
    before, started_s = posted, time.perf_counter()
    gevent.sleep(MEASURED_S)
    rate = (posted - before) / (time.perf_counter() - started_s)
    pool.kill()
    targets.close()
    return rate


def main(counts: list[int]) -> None:
    postgres = PostgresServer()
    try:
        postgres.start()
        with Server("bank", "--database-url", postgres.new_database("bench")) as bank:
            for posters in counts:
                print(f"{posters:>4} clients  {measure(bank.url, posters):>7.0f} postings/s", flush=True)
    finally:
        postgres.remove()


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1, 8, 32, 128])
