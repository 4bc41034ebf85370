"""What a running check makes of a bank's answers: late, missing, strange, wrong."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from banksim.measure.books import BalanceChecks, ExpectedBalances
from banksim.model import At
from banksim.model.money import from_wire
from banksim.run import invariant
from banksim.run.invariant import BalanceWatch, MovementBooks
from banksim.scenario.models import Invariant
from banksim.targets.nexum_wire import BalanceReply


class Bank:
    def __init__(self, answer: Callable[[int], BalanceReply]) -> None:
        self._answer, self.asked = answer, 0

    def read_balance(self, account_id: str, told: bool) -> BalanceReply:
        self.asked += 1
        return self._answer(self.asked)


def watch(answer: Callable[[int], BalanceReply], **settings: Any) -> tuple[BalanceWatch, BalanceChecks, Bank]:
    books, checks, bank = MovementBooks(ExpectedBalances()), BalanceChecks(), Bank(answer)
    timekeeper: Any = SimpleNamespace(now=lambda: At(0.0, 0.0))
    options = {"every_seconds": 0.2, "settle_seconds": 1.0} | settings
    client: Any = bank
    made = BalanceWatch(Invariant(**options), books, client, None, checks, timekeeper, "USD")
    books.on_movement("a", 500, True)
    return made, checks, bank


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariant, "SECOND_LOOK_S", 0.1)


@pytest.mark.parametrize("right_from", [1, 2, 5])
def test_a_balance_that_comes_right_in_time_is_no_violation(right_from: int) -> None:
    made, checks, _ = watch(lambda n: BalanceReply(500 if n >= right_from else 0))
    made.check()
    assert (checks.violations, checks.late) == (0, int(right_from > 1))


@pytest.mark.parametrize("cents", [0, 499, 501, 1000])
def test_one_that_never_does_is_a_violation_once(cents: int) -> None:
    made, checks, bank = watch(lambda n: BalanceReply(cents))
    made.check()
    assert checks.violations == 1
    assert bank.asked == 11, "as often as the scenario allows"


@pytest.mark.parametrize(
    "answer",
    [
        lambda n: BalanceReply(from_wire("1e1000000", "USD")),
        lambda n: BalanceReply(from_wire(True, "USD")),
        lambda n: [][n],
    ],
)
def test_a_check_that_cannot_be_made_is_counted_and_goes_on(answer: Callable[[int], BalanceReply]) -> None:
    made, checks, bank = watch(answer)
    with made.running():
        gevent.sleep(0.3)
        made._books.on_movement("a", 0, True)
        gevent.sleep(0.4)
        assert bank.asked >= 2, "the check lives on"
    assert checks.unread >= 2
    assert checks.readings == 0
