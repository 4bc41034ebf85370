from __future__ import annotations

from banksim.run.workers.intake import OpenedCustomers
from banksim.run.workers.messages import ROWS, Opened, OpenedRow


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


def test_the_accounts_of_all_of_them_are_known() -> None:
    customers = OpenedCustomers("run-1")
    customers.take(opened(row(1), row(2)))
    assert customers.account_ids() == {"a-1", "b-1", "a-2", "b-2"}
