"""The stand-in bank against the contract: bodies, texts, status codes, limits."""

import itertools

import pytest

from banksim.sandbox import BankApi
from banksim.sandbox.bank.ledger import Posting
from banksim.sandbox.bank.movements import FailedAttempts

ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "phone": "+1-555-0100",
    "date_of_birth": "1985-03-15",
    "address": {
        "line1": "1 Main St",
        "city": "Boston",
        "state": "MA",
        "postal_code": "02101",
        "country": "US",
    },
}


class Bank:
    """A `BankApi` with shorter calls."""

    def __init__(self) -> None:
        seconds = itertools.count(1_700_000_000)
        self.api = BankApi(now_s=lambda: float(next(seconds)))

    def call(self, method, path, body=None, **query):
        return self.api.handle(method, path, {name: str(value) for name, value in query.items()}, body)

    def customer(self, tier="tier_3"):
        customer_id = self.call("POST", "/customers", ADA)[1]["customer_id"]
        if tier:
            self.call("PUT", f"/customers/{customer_id}/kyc", {"status": "verified", "tier": tier})
        return customer_id

    def account(self, customer_id=None, balance=None, currency="USD", product="checking", **more):
        body = {"customer_id": customer_id or self.customer(), "product_type": product, "currency": currency}
        status, reply = self.call("POST", "/accounts", {**body, "name": "Main", **more})
        assert status == 201, reply
        if balance:
            assert self.deposit(reply["account_id"], balance, currency=currency, channel="system")[0] == 200
        return reply["account_id"]

    def _move(self, route, accounts, amount, currency, more):
        body = {**accounts, "amount": {"amount": amount, "currency": currency}, "description": "d", **more}
        return self.call("POST", f"/transactions/{route}", body)

    def deposit(self, account_id, amount, currency="USD", **more):
        return self._move("deposit", {"account_id": account_id}, amount, currency, more)

    def withdraw(self, account_id, amount, currency="USD", **more):
        return self._move("withdraw", {"account_id": account_id}, amount, currency, more)

    def transfer(self, payer, payee, amount, currency="USD", **more):
        accounts = {"from_account_id": payer, "to_account_id": payee}
        return self._move("transfer", accounts, amount, currency, more)

    def balance(self, account_id):
        return self.call("GET", f"/accounts/{account_id}")[1]["book_balance"]["amount"]


@pytest.fixture
def bank():
    found = Bank()
    yield found
    found.api.close()


def detail(reply):
    return reply[0], reply[1]["detail"]


def test_a_customers_life(bank):
    status, reply = bank.call("POST", "/customers", ADA)
    assert (status, reply["message"]) == (201, "Customer created successfully")
    customer_id = reply["customer_id"]
    read = bank.call("GET", f"/customers/{customer_id}")[1]
    assert (read["kyc_status"], read["kyc_tier"], read["is_active"]) == ("none", "tier_0", True)
    names = "id first_name last_name email phone kyc_status kyc_tier is_active created_at"
    assert set(read) == set(names.split())
    assert bank.call("PUT", f"/customers/{customer_id}", {"last_name": "King"}) == (
        200,
        {"message": "Customer updated successfully"},
    )
    kyc = {"status": "verified", "tier": "tier_2", "documents": ["passport"], "expiry_days": 365}
    assert bank.call("PUT", f"/customers/{customer_id}/kyc", kyc) == (
        200,
        {"message": "KYC status updated successfully"},
    )
    read = bank.call("GET", f"/customers/{customer_id}")[1]
    assert (read["last_name"], read["kyc_tier"]) == ("King", "tier_2")
    first, second = bank.account(customer_id), bank.account(customer_id, product="savings")
    status, reply = bank.deposit(first, "2000", channel="branch")
    assert status == 200
    assert {"state": "completed", "message": "Deposit processed successfully"}.items() <= reply.items()
    assert bank.withdraw(first, "25.5", channel="atm")[1]["message"] == "Withdrawal processed successfully"
    assert bank.transfer(first, second, "100")[1]["message"] == "Transfer processed successfully"
    account = bank.call("GET", f"/accounts/{first}")[1]
    assert account["book_balance"] == account["available_balance"] == {"amount": "1874.50", "currency": "USD"}
    assert account["account_number"].startswith("CHK") and account["state"] == "active"
    listed = bank.call("GET", f"/customers/{customer_id}/accounts")[1]["accounts"]
    assert [entry["id"] for entry in listed] == [first, second]
    assert "available_balance" not in listed[0]
    assert bank.call("GET", "/customers/nobody/accounts") == (200, {"accounts": []})


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("tier_2", {"status": "pending", "tier": "tier_3"}, "tier_2"),
        ("tier_2", {"status": "verified"}, "tier_2"),
        ("tier_2", {"status": "rejected"}, "tier_0"),
        ("tier_2", {"status": "expired", "tier": "tier_3"}, "tier_0"),
        (None, {"status": "verified"}, "tier_0"),
    ],
)
def test_a_tier_is_stored_only_with_verified(bank, before, change, after):
    customer_id = bank.customer(before)
    assert bank.call("PUT", f"/customers/{customer_id}/kyc", change)[0] == 200
    assert bank.call("GET", f"/customers/{customer_id}")[1]["kyc_tier"] == after


@pytest.mark.parametrize(
    ("tier", "limit"), [(None, "100"), ("tier_1", "1000"), ("tier_2", "10000"), ("tier_3", "100000")]
)
def test_a_tier_limits_one_transaction_and_stays_firm(bank, tier, limit):
    account = bank.account(bank.customer(tier), balance="900000")
    assert bank.withdraw(account, limit)[0] == 200
    for _ in range(8):  # the sixth refusal opens the real bank's door; ours stays shut
        assert detail(bank.withdraw(account, f"{limit}.01")) == (400, "Blocked by compliance rules")
    assert bank.withdraw(account, f"{limit}.01", channel="system")[0] == 200


def test_limits_are_the_same_number_in_every_currency(bank):
    account = bank.account(bank.customer(None), balance="500", currency="JPY")
    assert bank.withdraw(account, "100", currency="JPY")[0] == 200
    assert detail(bank.withdraw(account, "101", currency="JPY"))[1] == "Blocked by compliance rules"
    assert bank.balance(account) == "400"


def test_a_transfer_is_judged_by_the_senders_tier_only(bank):
    payer, payee = bank.account(balance="5000"), bank.account(bank.customer(None))
    assert bank.transfer(payer, payee, "5000")[0] == 200
    assert bank.balance(payee) == "5000.00"


def test_an_account_of_nobody_is_blocked(bank):
    account = bank.account("nobody")
    assert detail(bank.deposit(account, "1")) == (400, "Blocked by compliance rules")


def test_funds_are_checked_before_the_payee_exists(bank):
    account = bank.account(balance="1600.51")
    assert detail(bank.transfer(account, "nope", "9999")) == (
        400,
        "Insufficient funds: available USD 1,600.51, requested USD 9,999.00",
    )
    assert detail(bank.transfer(account, "nope", "1")) == (400, "To account nope not found")
    assert detail(bank.transfer("nope", account, "1")) == (400, "From account nope not found")
    assert detail(bank.withdraw("nope", "1")) == (400, "From account nope not found")
    assert detail(bank.deposit("nope", "1")) == (400, "To account nope not found")
    assert bank.balance(account) == "1600.51"


def test_currencies_do_not_mix_and_no_money_vanishes(bank):
    dollars, euros = bank.account(balance="50"), bank.account(currency="EUR")
    assert detail(bank.withdraw(dollars, "5", currency="EUR")) == (400, "Cannot compare USD and EUR")
    assert detail(bank.transfer(dollars, euros, "5")) == (
        400,
        "Cannot transfer between accounts with different currencies: USD -> EUR."
        " Use currency conversion instead.",
    )
    assert bank.deposit(dollars, "5", currency="EUR")[0] == 400
    assert bank.call("GET", "/ledger/trial-balance")[1]["totals_cents"] == {"USD": 0, "EUR": 0}


@pytest.mark.parametrize(
    ("amount", "booked"),
    [
        ("10", "10.00"),
        ("1e2", "100.00"),
        (" 12.5 ", "12.50"),
        ("1_000", "1000.00"),
        ("+5", "5.00"),
        ("0.005", "0.01"),
    ],
)
def test_amounts_are_read_as_decimal_reads_them(bank, amount, booked):
    account = bank.account()
    assert bank.deposit(account, amount)[0] == 200
    assert bank.balance(account) == booked


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("abc", "[<class 'decimal.ConversionSyntax'>]"),
        ("NaN", "[<class 'decimal.InvalidOperation'>]"),
        ("Infinity", "[<class 'decimal.InvalidOperation'>]"),
        ("1e30", "[<class 'decimal.InvalidOperation'>]"),
        ("1e20", "[<class 'decimal.InvalidOperation'>]"),
        ("0", "Transaction amount must be positive"),
        ("-5", "Transaction amount must be positive"),
        ("0.004", "Transaction amount must be positive"),
    ],
)
def test_other_amounts_are_400(bank, amount, text):
    assert detail(bank.deposit(bank.account(), amount)) == (400, text)


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("POST", "/customers", {**ADA, "email": "josé@example.com"}, "Invalid email format"),
        ("POST", "/customers", {**ADA, "email": "a@example"}, "Invalid email format"),
        (
            "POST",
            "/customers",
            {**ADA, "date_of_birth": "15/03/1985"},
            "Invalid isoformat string: '15/03/1985'",
        ),
        (
            "POST",
            "/customers",
            {**ADA, "address": {**ADA["address"], "country": "USA"}},
            "Country must be 2-letter ISO code (e.g., 'US', 'CA')",
        ),
        ("PUT", "/customers/nope", {"last_name": "X"}, "Customer nope not found"),
        ("PUT", "/customers/nope/kyc", {"status": "verified"}, "Customer nope not found"),
        ("PUT", "/customers/nope/kyc", {"status": "approved"}, "'approved' is not a valid KYCStatus"),
        ("PUT", "/customers/nope/kyc", {"status": "none", "tier": "gold"}, "'gold' is not a valid KYCTier"),
    ],
)
def test_business_errors_are_400_with_the_banks_text(bank, method, path, body, text):
    assert detail(bank.call(method, path, body)) == (400, text)


def test_enums_are_case_sensitive(bank):
    account = bank.account(balance="10")
    base = {"customer_id": "c", "product_type": "checking", "currency": "USD", "name": "n"}
    assert detail(bank.call("POST", "/accounts", {**base, "product_type": "current"})) == (
        400,
        "'current' is not a valid ProductType",
    )
    assert detail(bank.call("POST", "/accounts", {**base, "currency": "SEK"})) == (400, "'SEK'")
    for channel in ("card", "web", "ONLINE", ""):
        text = f"'{channel}' is not a valid TransactionChannel"
        assert detail(bank.withdraw(account, "1", channel=channel)) == (400, text)
    for channel in ("atm", "branch", "online", "mobile", "api", "system", None):
        assert bank.withdraw(account, "1", channel=channel)[0] == 200


def test_missing_and_mistyped_fields_are_all_listed(bank):
    status, reply = bank.call("POST", "/transactions/deposit", {"account_id": 7, "amount": {"amount": 5}})
    assert status == 422
    assert [(entry["type"], entry["loc"]) for entry in reply["detail"]] == [
        ("string_type", ["body", "account_id"]),
        ("string_type", ["body", "amount", "amount"]),
        ("missing", ["body", "amount", "currency"]),
        ("missing", ["body", "description"]),
    ]
    assert reply["detail"][3]["msg"] == "Field required"
    for body, kind in ((None, "missing"), ("text", "model_attributes_type"), ([], "model_attributes_type")):
        status, reply = bank.call("POST", "/customers", body)
        assert (status, reply["detail"][0]["type"], reply["detail"][0]["loc"]) == (422, kind, ["body"])
    body = {"from_account_id": "a", "to_account_id": None, "amount": None, "description": "d"}
    locs = [entry["loc"] for entry in bank.call("POST", "/transactions/transfer", body)[1]["detail"]]
    assert locs == [["body", "to_account_id"], ["body", "amount"]]


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/customers", 405, "Method Not Allowed"),
        ("GET", "/accounts", 405, "Method Not Allowed"),
        ("HEAD", "/health", 405, "Method Not Allowed"),
        ("DELETE", "/customers/x", 405, "Method Not Allowed"),
        ("GET", "/transactions", 404, "Not Found"),
        ("GET", "/transactions/x", 404, "Not Found"),
        ("GET", "/customers/x/y/z", 404, "Not Found"),
        ("GET", "/api/customers", 404, "Not Found"),
        ("POST", "/loans", 404, "Not Found"),
        ("GET", "/loans/x", 404, "Not Found"),
        ("GET", "/compliance/alerts", 404, "Not Found"),
        ("POST", "/credit/payment", 404, "Not Found"),
        ("GET", "/customers/x", 404, "Customer not found"),
        ("GET", "/accounts/x", 404, "Account not found"),
    ],
)
def test_routes_that_are_not_there(bank, method, path, status, text):
    assert detail(bank.call(method, path)) == (status, text)


def test_history_lists_failed_attempts_and_pages(bank):
    account = bank.account(balance="50")
    bank.withdraw(account, "10")
    bank.withdraw(account, "999")
    reply = bank.call("GET", f"/accounts/{account}/transactions")[1]
    assert [(row["transaction_type"], row["state"]) for row in reply["items"]] == [
        ("withdrawal", "failed"),
        ("withdrawal", "completed"),
        ("deposit", "completed"),
    ]
    assert reply["items"][1]["amount"] == {"amount": "10.00", "currency": "USD"}
    assert (reply["total"], reply["skip"], reply["limit"]) == (3, 0, 50)
    page = bank.call("GET", f"/accounts/{account}/transactions", skip=1, limit=1)[1]["items"]
    assert page == reply["items"][1:2]
    assert bank.call("GET", f"/accounts/{account}/transactions", skip=9)[1]["items"] == []
    bank.withdraw("nowhere", "1")
    assert bank.call("GET", "/accounts/nowhere/transactions")[1]["items"][0]["state"] == "failed"
    assert bank.call("GET", "/accounts/other/transactions")[1] == {
        "items": [],
        "total": 0,
        "skip": 0,
        "limit": 50,
    }


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ({"limit": 201}, "less_than_equal"),
        ({"limit": 0}, "greater_than_equal"),
        ({"skip": "x"}, "int_parsing"),
    ],
)
def test_bad_query_values_are_422(bank, query, kind):
    status, reply = bank.call("GET", "/accounts/x/transactions", **query)
    assert (status, reply["detail"][0]["type"], reply["detail"][0]["loc"]) == (
        422,
        kind,
        ["query", next(iter(query))],
    )


def test_a_reference_never_deduplicates_but_an_idempotency_key_does(bank):
    account = bank.account()
    first, second = (bank.deposit(account, "5", reference="R")[1]["transaction_id"] for _ in range(2))
    assert first != second and bank.balance(account) == "10.00"
    assert bank.api.ledger.history(account, 1)[0].reference == "R"
    keyed = [bank.deposit(account, "5", idempotency_key="k")[1]["transaction_id"] for _ in range(2)]
    assert keyed[0] == keyed[1] and bank.balance(account) == "15.00"
    assert bank.deposit(account, "6", idempotency_key="k")[0] == 400


def test_a_credit_line_offers_its_limit(bank):
    card = bank.account(product="credit_line", credit_limit={"amount": "500.00", "currency": "USD"})
    assert bank.withdraw(card, "300.25")[0] == 200
    read = bank.call("GET", f"/accounts/{card}")[1]
    assert read["book_balance"]["amount"] == "-300.25"
    assert read["available_balance"]["amount"] == "199.75"
    assert bank.withdraw(card, "199.76")[0] == 400
    assert bank.withdraw(bank.account(product="credit_line"), "1")[0] == 400


def test_nobody_can_name_the_cash_account(bank):
    account = bank.account(balance="10")
    assert bank.transfer("gl:cash:USD", account, "1", channel="system")[0] == 400
    assert bank.withdraw("gl:cash:USD", "1", channel="system")[0] == 400
    assert bank.transfer(account, "gl:cash:USD", "1")[0] == 400
    assert bank.balance(account) == "10.00"


def test_the_books_can_be_reconciled_over_the_api(bank):
    accounts = [bank.account(balance=str(amount)) for amount in (10, 20, 30)]
    reply = bank.call("GET", "/ledger/trial-balance")[1]
    assert reply["balanced"] is True
    assert (reply["accounts"], reply["postings"], reply["total_cents"]) == (4, 3, 0)
    found, after = {}, ""
    while after is not None:
        page = bank.call("GET", "/ledger/balances", after=after, limit=2)[1]
        found.update(page["balances"])
        after = page["next"]
    assert found == dict(zip(accounts, (1_000, 2_000, 3_000), strict=True))


def test_ids_come_from_the_given_source():
    numbers = itertools.count()
    api = BankApi(new_id=lambda: f"id-{next(numbers)}")
    assert api.handle("POST", "/customers", {}, ADA)[1]["customer_id"] == "id-0"
    api.close()


def test_a_file_keeps_customers_and_money(tmp_path):
    first = Bank()
    first.api.close()
    first.api = BankApi(tmp_path / "bank.db")
    customer = first.customer()
    account = first.account(customer, balance="12.34")
    first.api.close()
    first.api = BankApi(tmp_path / "bank.db")
    assert first.balance(account) == "12.34"
    assert first.call("GET", f"/customers/{customer}")[1]["kyc_tier"] == "tier_3"
    assert first.deposit(account, "1")[0] == 200
    first.api.close()


def test_failed_attempts_are_bounded_and_counted():
    failed = FailedAttempts(per_account=2, accounts=2)
    for number, account in enumerate(["a", "a", "a", "b", "c"]):
        failed.add(account, Posting(f"t{number}", "deposit", 1, "USD", "d", "atm", None, 0.0))
    assert failed.of("a") == ()
    assert len(failed.of("c")) == 1
    assert failed.dropped == 3
