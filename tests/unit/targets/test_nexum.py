"""The bank's client: what it sends, what it makes of the answers, and what it never does."""

from __future__ import annotations

import base64
import logging
import math
from typing import Any

import orjson
import pytest
from gevent import GreenletExit
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.model import AccountRef, BankStatus, Channel, Decline, Kind, refusal_reason
from banksim.targets import (
    AccountDirectory,
    InProcessTransport,
    Login,
    NexumClient,
    OpeningFailed,
    Reply,
    Request,
)
from banksim.targets.auth import lifetime_s
from banksim.targets.calls import failure_text
from tests.unit.targets.people import Notebook, ScriptedTransport, customer, transaction
from tests.unit.targets.strict_bank import StrictBank

DONE = Reply(200, {"transaction_id": "t", "state": "completed"}, 1.0)


def scripted(
    *script: Reply | BaseException, **options: Any
) -> tuple[NexumClient, ScriptedTransport, Notebook]:
    """A client of a scripted bank at which customers 0 and 1 are open."""
    directory = AccountDirectory()
    directory.add(0, "c0", ["a0", "s0"])
    directory.add(1, "c1", ["a1"])
    to, notebook = ScriptedTransport(*script), Notebook()
    return NexumClient(to, directory, observer=notebook, books=notebook, **options), to, notebook


def strict(currency: str = "USD") -> tuple[NexumClient, StrictBank, Notebook]:
    bank, notebook = StrictBank(), Notebook()
    client = NexumClient(
        InProcessTransport(bank), AccountDirectory(), currency=currency, observer=notebook, books=notebook
    )
    return client, bank, notebook


def bad(status: int, detail: Any) -> Reply:
    return Reply(status, {"detail": detail}, 1.0)


VERDICTS = [
    # reply → status, part of the detail
    (DONE, BankStatus.POSTED, ""),
    (bad(400, "Insufficient funds: available USD 1,600.51, requested …"), BankStatus.REFUSED, "Insuff"),
    (bad(400, "Blocked by compliance rules"), BankStatus.REFUSED, "compliance"),
    (bad(400, "Blocked by fraud detection"), BankStatus.REFUSED, "fraud detection"),
    (bad(400, "To account x not found"), BankStatus.FAILED, "To account"),
    (bad(400, "'card' is not a valid TransactionChannel"), BankStatus.FAILED, "card"),
    (bad(403, "Insufficient permissions"), BankStatus.FAILED, "permissions"),
    (bad(404, "Not Found"), BankStatus.FAILED, "HTTP 404: Not Found"),
    (bad(422, [{"loc": ["body", "x"], "msg": "Field required"}]), BankStatus.FAILED, "body.x: Field"),
    (bad(429, "Rate limit exceeded"), BankStatus.FAILED, "limits requests"),
    (Reply(500, "Internal Server Error", 1.0), BankStatus.FAILED, "HTTP 500: Internal Server Error"),
    (bad(503, "Banking system not initialized"), BankStatus.FAILED, "not initialized"),
    (bad(502, "bad gateway"), BankStatus.UNKNOWN, "502"),
    (bad(504, "gateway timeout"), BankStatus.UNKNOWN, "504"),
    (Reply(307, None, 1.0), BankStatus.FAILED, "307"),
    (Reply(200, {"state": "declined"}, 1.0), BankStatus.FAILED, "declined"),
    (Reply(200, {"state": "pending"}, 1.0), BankStatus.UNKNOWN, "pending"),
    (Reply(200, {"state": "processed"}, 1.0), BankStatus.UNKNOWN, "processed"),
    (Reply(201, {"state": "completed"}, 1.0), BankStatus.UNKNOWN, "201"),
    (Reply(200, None, 1.0), BankStatus.UNKNOWN, "no state"),
    (Reply(200, ["completed"], 1.0), BankStatus.UNKNOWN, "no state"),
    (Reply(200, {"state": 7}, 1.0), BankStatus.UNKNOWN, "no state"),
    (Reply(200, "<html>", 1.0, "the answer is not JSON"), BankStatus.UNKNOWN, "not JSON"),
    (Reply(200, None, 1.0, "the answer broke off"), BankStatus.UNKNOWN, "broke off"),
    (Reply(400, None, 1.0, "the answer broke off"), BankStatus.FAILED, "broke off"),
    (Reply(0, None, 1.0, "connection refused", sent=False), BankStatus.FAILED, "refused"),
    (Reply(0, None, 1.0, "no answer within 30 s", sent=True), BankStatus.UNKNOWN, "no answer"),
    (Reply(0, None, 1.0, "no answer within 30 s", sent=False), BankStatus.FAILED, "no answer"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "status", "detail"), VERDICTS, ids=lambda value: str(value)[:60])
def test_verdicts(reply: Reply, status: BankStatus, detail: str) -> None:
    bank, to, notebook = scripted(reply)
    answer = bank.post(transaction(Kind.TRANSFER))
    assert answer.status is status
    assert (detail in answer.detail) if detail else answer.detail == ""
    assert answer.latency_ms == 1.0
    assert (len(to.asked), to.repeatable) == (1, [False]), "sent once, and never marked repeatable"
    moved = {
        BankStatus.POSTED: [("a0", -1250, True), ("a1", 1250, True)],
        BankStatus.UNKNOWN: [("a0", -1250, False), ("a1", 1250, False)],
    }
    assert notebook.movements == moved.get(status, [])
    (call,) = notebook.calls
    assert (call.system, call.method, call.name) == ("nexum", "POST", "/transactions/transfer")
    assert call.status == (reply.status or None)
    assert (call.error is None) == (status in (BankStatus.POSTED, BankStatus.REFUSED))


@pytest.mark.parametrize(
    ("kind", "counterparty", "path", "signed_cents"),
    [
        (Kind.DEPOSIT, None, "/transactions/deposit", 1250),
        (Kind.SALARY, AccountRef(1), "/transactions/deposit", 1250),
        (Kind.TRANSFER, AccountRef(1), "/transactions/transfer", -1250),
        (Kind.TRANSFER, None, "/transactions/withdraw", -1250),  # to another bank
        (Kind.PURCHASE, None, "/transactions/withdraw", -1250),
        (Kind.WITHDRAWAL, None, "/transactions/withdraw", -1250),
        (Kind.BILL_PAYMENT, None, "/transactions/withdraw", -1250),
    ],
)
def test_each_kind_is_one_of_three_movements(
    kind: Kind, counterparty: AccountRef | None, path: str, signed_cents: int
) -> None:
    bank, to, notebook = scripted(DONE)
    bank.post(transaction(kind, counterparty=counterparty))
    assert [(method, asked) for method, asked, _ in to.asked] == [("POST", path)]
    assert notebook.movements[0] == ("a0", signed_cents, True)


def test_body_of_a_withdrawal() -> None:
    bank, to, _ = scripted(DONE)
    bank.post(transaction(Kind.PURCHASE, account=AccountRef(0, 1)))
    assert to.asked[0][2] == {
        "account_id": "s0",
        "amount": {"amount": "12.50", "currency": "USD"},
        "description": "Groceries",
        "channel": "online",
        "reference": "tx-1",
    }


def test_body_of_a_transfer_and_a_description_where_there_is_none() -> None:
    bank, to, _ = scripted(DONE)
    bank.post(transaction(Kind.TRANSFER, description="", channel=Channel.ACH, currency="JPY"))
    assert to.asked[0][2] == {
        "from_account_id": "a0",
        "to_account_id": "a1",
        "amount": {"amount": "1250", "currency": "JPY"},
        "description": "transfer",
        "channel": "api",
        "reference": "tx-1",
    }


@pytest.mark.parametrize(
    "changes",
    [{"account": AccountRef(7)}, {"account": AccountRef(0, 5)}, {"counterparty": AccountRef(7)}],
)
def test_nothing_is_sent_for_an_account_that_is_not_open(changes: dict[str, Any]) -> None:
    bank, to, notebook = scripted(DONE)
    reply = bank.post(transaction(Kind.TRANSFER, **changes))
    assert reply.status is BankStatus.FAILED
    assert "no such account" in reply.detail
    assert (to.asked, notebook.calls, notebook.movements) == ([], [], [])


def test_a_card_that_fails_is_refused_before_the_bank_hears_of_it() -> None:
    bank, to, notebook = scripted(Reply(200, {"state": "completed"}, 1.0))
    answer = bank.post(transaction(Kind.PURCHASE, card_check=Decline.WRONG_PIN))
    assert (answer.status, refusal_reason(answer.detail)) == (BankStatus.REFUSED, "card")
    assert (to.asked, notebook.movements, notebook.calls) == ([], [], [])


def test_a_killed_post_is_an_uncertain_movement() -> None:
    bank, _, notebook = scripted(GreenletExit())
    with pytest.raises(GreenletExit):
        bank.post(transaction(Kind.DEPOSIT))
    assert notebook.movements == [("a0", 1250, False)]
    assert notebook.under_way == 0


def test_request_limit_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bank, _, _ = scripted(bad(429, "Rate limit exceeded"))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            bank.post(transaction())
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "limits requests" in caplog.text


# Login


def test_login_happens_on_401_and_the_call_goes_out_again() -> None:
    token = Reply(200, {"access_token": "jwt", "token_type": "bearer"}, 1.0)
    bank, to, notebook = scripted(bad(401, "Not authenticated"), token, DONE, login=Login("u", "p"))
    assert bank.post(transaction(Kind.DEPOSIT)).status is BankStatus.POSTED
    assert to.tokens == ["jwt"]
    assert [path for _, path, _ in to.asked] == [
        "/transactions/deposit",
        "/rbac/auth/login",
        "/transactions/deposit",
    ]
    assert to.asked[1][2] == {"username": "u", "password": "p"}
    assert [call.status for call in notebook.calls] == [200, 401, 200]
    assert notebook.movements == [("a0", 1250, True)]


def test_wrong_password_is_tried_once_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bank, to, _ = scripted(bad(401, "Invalid credentials"), login=Login("u", "secret"))
    for _ in range(3):
        assert bank.post(transaction()).status is BankStatus.FAILED
    assert [path for _, path, _ in to.asked].count("/rbac/auth/login") == 1
    assert caplog.text.count("login to the bank") == 1
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "echo", ["you sent hunter2-very-secret", {"input": {"password": "hunter2-very-secret"}}]
)
def test_a_login_answer_that_repeats_the_password_is_told_without_it(
    echo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = Reply(422, {"detail": [echo]} if isinstance(echo, dict) else {"detail": echo}, 1.0)
    bank, _, notebook = scripted(bad(401, "who?"), refusal, login=Login("u", "hunter2-very-secret"))
    assert bank.post(transaction()).status is BankStatus.FAILED
    said = caplog.text + "".join(call.error or "" for call in notebook.calls)
    assert "***" in said and "hunter2" not in said


@pytest.mark.parametrize(
    "hostile", ["no\r\n2026-01-05 ERROR forged", "\x1b[2Jno", "no\u202eon", "no\x00\x07"]
)
def test_what_a_target_says_is_one_line_that_no_terminal_obeys(hostile: str) -> None:
    for body in ({"detail": hostile}, {"error": hostile}, {"detail": [{"msg": hostile}]}, hostile):
        said = failure_text(Reply(400, body, 1.0))
        assert said.startswith("HTTP 400: ") and said.isprintable()
    assert failure_text(Reply(0, None, 1.0, error=hostile)).isprintable()


def test_without_a_user_name_a_401_is_a_plain_failure(caplog: pytest.LogCaptureFixture) -> None:
    bank, to, _ = scripted(bad(401, "Not authenticated"))
    reply = bank.post(transaction())
    assert (reply.status, reply.detail) == (BankStatus.FAILED, "HTTP 401: Not authenticated")
    assert len(to.asked) == 1
    assert "asks for a login" in caplog.text


def test_token_that_expires_is_renewed_after_a_pause() -> None:
    now_s = 0.0
    login = Login("u", "p", monotonic=lambda: now_s)
    to = ScriptedTransport(Reply(200, {"access_token": "t"}, 1.0))
    assert login.renew(to, 0, lambda request, reply: None)
    assert login.renew(to, 0, lambda request, reply: None), "somebody else's 401 under the old token"
    assert not login.renew(to, 1, lambda request, reply: None), "at once again: the token is no use"
    now_s = 61.0
    assert login.renew(to, 1, lambda request, reply: None)
    assert to.tokens == ["t", "t"]


def token_of(life_s: float) -> str:
    """A JSON Web Token that ends ``life_s`` seconds after it was issued; its signature is not looked at."""
    claims = base64.urlsafe_b64encode(orjson.dumps({"iat": 1_000, "exp": 1_000 + life_s})).decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{claims.rstrip('=')}.x"


@pytest.mark.parametrize(
    "answer",
    [{"access_token": "t", "expires_in": 40}, {"access_token": token_of(40)}],
    ids=["expires_in", "exp"],
)
def test_a_short_token_is_renewed_before_it_ends(answer: dict[str, Any]) -> None:
    """40 s at one movement a second: no call is refused after the first."""
    now_s, ends_s, refused = 0.0, 0.0, 0

    class Bank(ScriptedTransport):
        def send(self, request: Request) -> Reply:
            nonlocal ends_s, refused
            if request.path == "/rbac/auth/login":
                ends_s = now_s + 40
                return Reply(200, answer, 1.0)
            if now_s < ends_s:
                return DONE
            refused += 1
            return bad(401, "Token expired")

    bank, _, notebook = scripted(DONE, login=Login("u", "p", monotonic=lambda: now_s))
    bank.transport = Bank(DONE)
    for second in range(200):
        now_s = float(second)
        assert bank.post(transaction()).status is BankStatus.POSTED
    assert refused == 1, "before the first login"
    assert [call.name for call in notebook.calls].count("/rbac/auth/login") == 7, "every 32 s"


def test_a_token_without_an_end_is_renewed_at_the_first_401() -> None:
    """A login that succeeded is followed by no pause worth the name."""
    now_s = 0.0
    login = Login("u", "p", monotonic=lambda: now_s)
    to = ScriptedTransport(Reply(200, {"access_token": "t"}, 1.0))
    assert login.renew(to, 0, lambda request, reply: None)
    now_s = 2.0
    assert login.renew(to, 1, lambda request, reply: None)


def test_a_bank_that_refuses_its_own_tokens_gets_one_login_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    bank, to, _ = scripted(DONE, login=Login("u", "p", monotonic=lambda: now_s))
    to.script = [Reply(401, {"access_token": "t"}, 1.0)]

    class Refusing(ScriptedTransport):
        def send(self, request: Request) -> Reply:
            self.asked.append((request.method, request.path, request.body))
            login = request.path == "/rbac/auth/login"
            return Reply(200, {"access_token": "t"}, 1.0) if login else bad(401, "Invalid token")

    refusing = bank.transport = Refusing(DONE)
    for tenth in range(50):
        now_s = tenth / 10
        assert bank.post(transaction()).status is BankStatus.FAILED
    assert [path for _, path, _ in refusing.asked].count("/rbac/auth/login") == 5
    assert caplog.text.count("only just given") == 1


def test_a_login_without_an_answer_is_tried_again_soon() -> None:
    now_s = 0.0
    login = Login("u", "p", monotonic=lambda: now_s)
    to = ScriptedTransport(Reply(0, None, 1.0, "reset"), Reply(200, {"access_token": "t"}, 1.0))
    assert not login.renew(to, 0, lambda request, reply: None)
    now_s = 6.0
    assert login.renew(to, 0, lambda request, reply: None)


@pytest.mark.parametrize("token", ["t", "a.b.c", "a.e30.c", "a..c", token_of(-5)])
def test_a_token_that_does_not_tell_its_end_has_none(token: str) -> None:
    assert lifetime_s(None, token) == math.inf
    assert lifetime_s("soon", token) == math.inf
    assert lifetime_s(0, token) == math.inf


# Opening


def test_opening_a_customer_against_the_strict_bank() -> None:
    client, bank, notebook = strict()
    assert client.open_customer(customer(3, "tier_1", (500_000, 20_000)))
    assert bank.refusals == []
    (made,) = bank.customers.values()
    assert (made["kyc"], made["tier"], made["first_name"]) == ("verified", "tier_1", "Zoë")
    assert [(a["product_type"], a["balance"]) for a in bank.accounts.values()] == [
        ("checking", 5000),
        ("savings", 200),
    ]
    numbers = {account["account_number"] for account in bank.accounts.values()}
    assert numbers == {"BANKSIM-0000003-0", "BANKSIM-0000003-1"}
    ids = list(bank.accounts)
    assert client.directory.account_id(AccountRef(3, 1)) == ids[1]
    assert notebook.movements == [(ids[0], 500_000, True), (ids[1], 20_000, True)]
    assert [call.name for call in notebook.calls] == [
        "/customers",
        "/customers/{id}/kyc",
        "/accounts",
        "/transactions/deposit",
        "/accounts",
        "/transactions/deposit",
    ]
    assert client.balance_cents(ids[0]) == 500_000
    assert client.open_customer(customer(3)), "a second time changes nothing"
    assert len(bank.customers) == 1


def test_rejected_customer_has_no_accounts() -> None:
    client, bank, _ = strict()
    assert not client.open_customer(customer(), kyc_approved=False)
    assert bank.refusals == []
    assert [made["kyc"] for made in bank.customers.values()] == ["rejected"]
    assert (bank.accounts, client.directory.is_open(0)) == ({}, False)


def test_customer_without_money_gets_no_deposit() -> None:
    client, bank, _ = strict()
    assert client.open_customer(customer(balances_cents=(0,)))
    assert (bank.refusals, bank.movements) == ([], [])


CREATED = Reply(201, {"customer_id": "c9", "account_id": "a9"}, 1.0)
OK = Reply(200, {"message": "ok"}, 1.0)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([bad(401, "Not authenticated")], "POST /customers at http://bank.test failed: HTTP 401"),
        ([Reply(0, None, 1.0, "connection refused", sent=False)], "connection refused"),
        ([Reply(201, None, 1.0)], "without a usable 'customer_id'"),
        ([Reply(201, {"customer_id": "../x"}, 1.0)], "without a usable 'customer_id'"),
        ([CREATED, bad(400, "'gold' is not a valid KYCTier")], "PUT /customers/{id}/kyc"),
        ([CREATED, OK, bad(400, "'SEK'")], "POST /accounts"),
        ([CREATED, OK, CREATED, bad(400, "Blocked by compliance rules")], "opening deposit"),
    ],
)
def test_opening_that_fails_says_where(script: list[Reply], message: str) -> None:
    bank, _, _ = scripted(*script)
    with pytest.raises(OpeningFailed) as failure:
        bank.open_customer(customer(9))
    assert message in str(failure.value)
    assert not bank.directory.is_open(9)


def test_balance_that_cannot_be_read() -> None:
    bank, _, notebook = scripted(bad(404, "Account not found"))
    assert bank.balance_cents("a0") is None
    assert notebook.calls[0].error == "HTTP 404: Account not found"


def test_health_is_not_part_of_the_load() -> None:
    bank, _, notebook = scripted(Reply(503, {"detail": "starting"}, 2.0))
    health = bank.health()
    assert (health.name, health.ok, health.latency_ms) == ("Nexum", False, 2.0)
    assert health.detail == "HTTP 503: starting"
    assert notebook.calls == []


# The whole contract


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(
            st.sampled_from(Kind),
            st.sampled_from(Channel),
            st.integers(1, 1_000_00),
            st.sampled_from([None, AccountRef(1), AccountRef(0, 1)]),
            st.text(max_size=5),
        ),
        max_size=10,
    ),
    currency=st.sampled_from(["USD", "JPY", "CHF"]),
)
def test_strict_bank_has_nothing_to_object_to(kinds: list[Any], currency: str) -> None:
    """Every kind, channel and amount passes, or is a business refusal; the books agree to the cent."""
    client, bank, notebook = strict(currency)
    for index in (0, 1):
        client.open_customer(customer(index, "tier_3", (1_000_00, 50_00)))
    for kind, channel, cents, counterparty, text in kinds:
        tx = transaction(
            kind,
            channel=channel,
            amount_cents=cents,
            currency=currency,
            counterparty=counterparty,
            description=text,
        )
        assert client.post(tx).status in (BankStatus.POSTED, BankStatus.REFUSED)
    assert all(
        status == 400 and body["detail"].startswith("Insufficient funds")
        for _, _, (status, body) in bank.refusals
    )
    for _, account_id in client.directory.accounts():
        booked = sum(cents for moved, cents, _ in notebook.movements if moved == account_id)
        assert client.balance_cents(account_id) == booked
