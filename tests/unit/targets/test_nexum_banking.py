"""Cards and histories: at the stand-in bank, at the strict one, and against odd answers."""

from __future__ import annotations

from typing import Any

import pytest

from banksim.model import BankStatus
from banksim.sandbox import BankApi
from banksim.targets import (
    AccountDirectory,
    InProcessTransport,
    NexumClient,
    Reply,
)
from tests.services.nexum_banking import NexumBanking, RequestFailed, banking_of
from tests.unit.targets.people import Notebook, ScriptedTransport, customer
from tests.unit.targets.strict_bank import StrictBank

CREDIT_CENTS = 100_000


class Life:
    """One customer with a checking account of 5,000.00 at a bank, and everything that was told."""

    def __init__(self, bank: BankApi | StrictBank) -> None:
        self.notebook = Notebook()
        directory = AccountDirectory()
        self.client = NexumClient(
            InProcessTransport(bank), directory, observer=self.notebook, books=self.notebook
        )
        assert self.client.open_customer(customer(tier="tier_3"))
        self.customer_id = directory.customer_id(0) or ""
        ((_, self.account_id),) = directory.accounts()
        self.banking: NexumBanking = banking_of(self.client)

    def assert_books_agree(self, *account_ids: str) -> None:
        for account_id in account_ids:
            told = [cents for moved, cents, certain in self.notebook.movements if moved == account_id]
            assert self.client.balance_cents(account_id) == sum(told)


@pytest.fixture(params=[BankApi, StrictBank], ids=["stand-in", "strict"])
def life(request: pytest.FixtureRequest) -> Life:
    return Life(request.param())


def test_a_card_is_drawn_on_and_paid_off(life: Life) -> None:
    card = life.banking.open_account(life.customer_id, "credit_line", "CARD-1", CREDIT_CENTS)
    view = life.banking.account(card)
    assert (view.product, view.book_cents, view.available_cents) == ("credit_line", 0, CREDIT_CENTS)
    life.banking.pay_card(card, life.account_id, 30_000)  # cash from the card: a transfer as any other
    assert life.banking.account(card).book_cents == -30_000
    assert life.banking.pay_card(life.account_id, card, 30_000).status is BankStatus.POSTED
    assert life.banking.account(card).book_cents == 0
    refused = life.banking.pay_card(card, life.account_id, CREDIT_CENTS + 1)
    assert (refused.status, refused.detail[:18]) == (BankStatus.REFUSED, "Insufficient funds")
    life.assert_books_agree(life.account_id, card)
    assert {view.product for view in life.banking.accounts_of(life.customer_id)} == {
        "checking",
        "credit_line",
    }


def test_a_history_lists_what_was_booked_and_what_was_refused(life: Life) -> None:
    card = life.banking.open_account(life.customer_id, "credit_line", "CARD-1", CREDIT_CENTS)
    life.banking.pay_card(life.account_id, card, 1_00)
    life.banking.pay_card(life.account_id, card, 999_999_99)
    rows = life.banking.history(life.account_id)
    assert [(row.kind, row.amount_cents, row.state) for row in rows] == [
        ("transfer_internal", 999_999_99, "failed"),
        ("transfer_internal", 1_00, "completed"),
        ("deposit", 500_000, "completed"),
    ]
    assert len(life.banking.history(life.account_id, limit=1)) == 1


def test_nothing_strict_was_refused_but_what_should_be() -> None:
    bank = StrictBank()
    life = Life(bank)
    life.banking.open_account(life.customer_id, "credit_line", "CARD-1", CREDIT_CENTS)
    life.banking.history(life.account_id)
    assert bank.refusals == []


def scripted(reply: Reply) -> tuple[NexumBanking, ScriptedTransport, Notebook]:
    to, notebook = ScriptedTransport(reply), Notebook()
    client = NexumClient(to, AccountDirectory(), observer=notebook, books=notebook)
    return banking_of(client), to, notebook


ROW = {"id": "t", "transaction_type": "deposit", "description": "d", "state": "completed"}
MONEY = {"amount": "12.50", "currency": "USD"}


@pytest.mark.parametrize("key", ["items", "transactions"])
def test_both_forms_of_a_history(key: str) -> None:
    banking, _, _ = scripted(Reply(200, {key: [{**ROW, "amount": MONEY}]}, 1.0))
    assert banking.history("a")[0].amount_cents == 1250


@pytest.mark.parametrize("data", [None, [], {"rows": []}, {"items": [{**ROW}]}, {"items": [3]}, "text"])
def test_a_history_in_another_form_is_refused_in_words(data: Any) -> None:
    banking, _, _ = scripted(Reply(200, data, 1.0))
    with pytest.raises(RequestFailed, match="the bank's answer holds no"):
        banking.history("a")


@pytest.mark.parametrize(
    ("reply", "status", "booked"),
    [
        (
            Reply(200, {"transaction_id": "t", "state": "completed", "message": "ok"}, 1.0),
            BankStatus.POSTED,
            [("a", -700, True), ("b", 700, True)],
        ),
        (
            Reply(0, None, 1.0, "no answer within 1 s"),
            BankStatus.UNKNOWN,
            [("a", -700, False), ("b", 700, False)],
        ),
        (Reply(200, None, 1.0), BankStatus.UNKNOWN, [("a", -700, False), ("b", 700, False)]),
        (Reply(400, {"detail": "To account b not found"}, 1.0), BankStatus.FAILED, []),
        (Reply(0, None, 1.0, "connection refused", sent=False), BankStatus.FAILED, []),
    ],
)
def test_a_card_payment_is_never_guessed(reply: Reply, status: BankStatus, booked: list[Any]) -> None:
    banking, to, notebook = scripted(reply)
    assert banking.pay_card("a", "b", 700).status is status
    assert notebook.movements == booked
    assert [asked[:2] for asked in to.asked] == [("POST", "/transactions/transfer")]
    assert to.repeatable == [False]


def test_a_request_that_fails_says_what_the_bank_said() -> None:
    banking, _, notebook = scripted(Reply(404, {"detail": "Account not found"}, 1.0))
    with pytest.raises(RequestFailed, match="Account not found") as failure:
        banking.account("a")
    assert failure.value.status == 404
    assert notebook.calls[0].error is not None
