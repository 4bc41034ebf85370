from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from banksim.measure import ExpectedBalances
from banksim.run.workers.intake import OpenedCustomers
from banksim.run.workers.messages import ROWS, Opened, OpenedRow
from banksim.world import Population


def row(index: int, customer: str = "c") -> OpenedRow:
    return (index, f"{customer}-{index}", [f"a-{index}", f"b-{index}"])


def opened(*rows: OpenedRow) -> Opened:
    return Opened(run="run-1", rows=list(rows), joined=False)


def test_the_other_workers_get_every_row() -> None:
    customers = OpenedCustomers("run-1")
    passed_on = customers.take(opened(row(1), row(2)))
    assert passed_on.rows == [row(1), row(2)]
    assert passed_on.joined is False
    assert len(customers) == 2


def test_a_customer_that_two_have_opened_is_one() -> None:
    """Otherwise every worker would wait for one customer more than there is."""
    customers = OpenedCustomers("run-1")
    customers.take(opened(row(1), row(2)))
    passed_on = customers.take(opened(row(2, "again"), row(3)))
    assert len(customers) == 3
    assert passed_on.rows == [row(3)]


def test_a_late_worker_gets_everything() -> None:
    customers = OpenedCustomers("run-1")
    customers.take(opened(*(row(index) for index in range(ROWS + 1))))
    assert [len(directory.rows) for directory in customers.directory()] == [ROWS, 1]


class Funded:
    """A population in which everyone opens the first account with money and the second one without."""

    accounts = (SimpleNamespace(opening_balance_cents=5), SimpleNamespace(opening_balance_cents=0))

    def customer(self, index: int) -> Funded:
        assert index in (1, 2)
        return self


def test_accounts_whose_expected_balance_did_not_arrive_are_found() -> None:
    customers, books, population = OpenedCustomers("run-1"), ExpectedBalances(), cast(Population, Funded())
    customers.take(opened(row(1), row(2)))
    assert customers.without_balance(books, population) == 2, "b-1 and b-2 hold nothing, and are not missed"
    books.open("a-1", 0)
    assert customers.without_balance(books, population) == 1
    books.open("a-2", 0)
    assert customers.without_balance(books, population) == 0
