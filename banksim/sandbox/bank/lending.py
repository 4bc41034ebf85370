"""Loans and card statements, as far as a customer's life needs them.

A loan has an account of its own in the ledger, which the principal leaves when it is
disbursed and comes back to with each payment; interest goes to the bank's cash.  So the
books stay balanced, and what a borrower still owes is minus that account's balance.

    originated ──disburse──► disbursed ──first payment──► active ──nothing owed──► paid_off

Quirks of the real bank that are left out on purpose: payments beyond the payer's funds, loans
of negative amounts or for nobody, and methods of amortization that make a loan unreadable.  A
payment without ``source_account_id`` is paid in cash.

Not handled: other rhythms than monthly, schedules, defaults, lists of statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from banksim.sandbox.bank import values
from banksim.sandbox.bank.database import Database, Row
from banksim.sandbox.bank.ledger import InsufficientFunds, Ledger, LedgerError, Leg, Posting
from banksim.sandbox.bank.records import AccountPapers, Registry
from banksim.sandbox.bank.values import Fields, Refusal, Reply

MAX_TERM_MONTHS = 600
#: Share and least amount (in whole units) of a card's balance that is due, and when.
DUE_SHARE = Decimal("0.02")
DUE_LEAST_UNITS = 25
DUE_AFTER = timedelta(days=25)
_COLUMNS = (
    "loan_id, customer_id, account_id, currency, state, principal_cents, balance_cents, annual_rate,"
    " term_months, payment_cents, originated_on, matures_on"
)


class Lending:
    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        registry: Registry,
        new_id: Callable[[], str],
        now_s: Callable[[], float],
    ) -> None:
        self._db = database
        self._ledger = ledger
        self._registry = registry
        self._new_id = new_id
        self._now_s = now_s

    def originate(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        customer_id, currency = fields.text("customer_id"), fields.text("currency")
        terms = fields.object("terms")
        amount = rate_text = first = ""
        months: int | None = None
        if terms is not None:
            amount, currency = values.read_money(terms, "principal_amount")
            rate_text, first = terms.text("annual_interest_rate"), terms.text("first_payment_date")
            months = terms.optional_integer("term_months")
        fields.check()
        assert terms is not None  # or `check` would have refused
        method = terms.optional_text("amortization_method") or "equal_installment"
        if (
            method != "equal_installment"
            or (terms.optional_text("payment_frequency") or "monthly") != "monthly"
        ):
            raise Refusal(400, f"Unsupported amortization method: {method}")
        values.check_date(first)
        principal_cents = values.money_cents(amount, currency)
        rate = _rate(rate_text)
        if principal_cents <= 0 or months is None or not 1 <= months <= MAX_TERM_MONTHS:
            raise Refusal(400, "A loan needs a positive principal and a term of months")
        if self._registry.customer(customer_id) is None:
            raise Refusal(400, f"Customer {customer_id} not found")
        loan_id, account_id, now_s = self._new_id(), self._new_id(), self._now_s()
        today = datetime.fromtimestamp(now_s, UTC).date()
        with self._db.transaction():
            self._ledger.open_account(account_id, currency, floor_cents=None)
            self._registry.add_account(
                AccountPapers(account_id, customer_id, f"LON{loan_id[:8]}", "loan", currency, "Loan", now_s)
            )
            self._db.rows(
                f"INSERT INTO loans ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    loan_id,
                    customer_id,
                    account_id,
                    currency,
                    "originated",
                    principal_cents,
                    principal_cents,
                    rate_text,
                    months,
                    _payment_cents(principal_cents, rate, months),
                    today.isoformat(),
                    (today + timedelta(days=round(months * 365.25 / 12))).isoformat(),
                ),
            )
        return 201, {
            "loan_id": loan_id,
            "account_id": account_id,
            "state": "originated",
            "message": "Loan originated successfully",
        }

    def read(self, loan_id: str, _query: Mapping[str, str], _body: Any) -> Reply:
        row = self._find(loan_id)
        if row is None:
            raise Refusal(404, "Loan not found")
        _, customer_id, account_id, currency, state, principal, balance, rate, months, payment, start, end = (
            row
        )
        return 200, {
            "id": loan_id,
            "customer_id": customer_id,
            "account_id": account_id,
            "state": state,
            "principal_amount": values.money_json(principal, currency),
            "current_balance": values.money_json(balance, currency),
            "annual_interest_rate": rate,
            "term_months": months,
            "monthly_payment": values.money_json(payment, currency),
            "originated_date": start,
            "maturity_date": end,
        }

    def disburse(self, loan_id: str, query: Mapping[str, str], _body: Any) -> Reply:
        row = self._known(loan_id)
        account_id, currency, state, cents = row[2], row[3], row[4], row[5]
        if state != "originated":
            raise Refusal(400, f"Can only disburse ORIGINATED loans, loan is {state}")
        target = query.get("disbursement_account_id") or self._ledger.cash_account(currency)
        legs = (Leg(target, cents), Leg(account_id, -cents))
        posting = self._post("loan_disbursement", cents, currency, legs, loan_id, "disbursed", cents)
        return 200, {"transaction_id": posting, "message": "Loan disbursed successfully"}

    def pay(self, _query: Mapping[str, str], body: Any) -> Reply:
        fields = Fields(body)
        loan_id, (amount, currency) = fields.text("loan_id"), values.read_money(fields)
        source = fields.optional_text("source_account_id")
        fields.check()
        row = self._known(loan_id)
        account_id, own_currency, state, balance = row[2], row[3], row[4], row[6]
        if state not in ("disbursed", "active"):
            raise Refusal(400, f"Loan {loan_id} is not active for payments")
        cents = values.money_cents(amount, currency)
        if cents <= 0 or currency != own_currency:
            raise Refusal(400, "Transaction amount must be positive")
        interest = _rounded(Decimal(balance) * _rate(row[7]) / 12)
        principal = min(balance, max(0, cents - interest))
        interest = cents - principal
        cash = self._ledger.cash_account(currency)
        legs = [Leg(source or cash, -cents), Leg(account_id, principal), Leg(cash, interest)]
        left = balance - principal
        payment_id = self._post(
            "payment",
            cents,
            currency,
            [leg for leg in legs if leg.amount_cents],
            loan_id,
            "active" if left else "paid_off",
            left,
        )
        return 200, {
            "payment_id": payment_id,
            "principal_amount": values.money_json(principal, currency),
            "interest_amount": values.money_json(interest, currency),
            "message": "Loan payment processed successfully",
        }

    def statement(self, account_id: str, query: Mapping[str, str], _body: Any) -> Reply:
        papers = self._registry.account(account_id)
        if papers is None or papers.product_type != "credit_line":
            raise Refusal(400, "Account must be a credit line")
        owed = max(0, -self._ledger.balance_cents(account_id))
        least = values.money_cents(str(DUE_LEAST_UNITS), papers.currency)
        due = min(owed, max(least, _rounded(owed * DUE_SHARE)))
        text = query.get("statement_date") or datetime.fromtimestamp(self._now_s(), UTC).date().isoformat()
        values.check_date(text)
        day = date.fromisoformat(text[:10])
        return 200, {
            "statement_id": self._new_id(),
            "statement_date": day.isoformat(),
            "due_date": (day + DUE_AFTER).isoformat(),
            "current_balance": values.money_json(owed, papers.currency),
            "minimum_payment_due": values.money_json(due, papers.currency),
            "message": "Statement generated successfully",
        }

    def _post(
        self,
        kind: str,
        cents: int,
        currency: str,
        legs: list[Leg] | tuple[Leg, ...],
        loan_id: str,
        state: str,
        balance: int,
    ) -> str:
        """Book it, and change the loan with it or not at all.  Returns the posting's id."""
        posting = Posting(
            self._new_id(), kind, cents, currency, f"Loan {loan_id}", "system", None, self._now_s()
        )

        def change_loan() -> None:
            self._db.rows(
                "UPDATE loans SET state = ?, balance_cents = ? WHERE loan_id = ?", (state, balance, loan_id)
            )

        try:
            self._ledger.post(posting, legs, also=change_loan)
        except InsufficientFunds as error:
            available = values.money_text(error.available_cents, currency)
            requested = values.money_text(error.requested_cents, currency)
            raise Refusal(400, f"Insufficient funds: available {available}, requested {requested}") from None
        except LedgerError as error:
            raise Refusal(400, str(error)) from None
        return posting.transaction_id

    def _find(self, loan_id: str) -> Row | None:
        return self._db.one(f"SELECT {_COLUMNS} FROM loans WHERE loan_id = ?", (loan_id,))

    def _known(self, loan_id: str) -> Row:
        row = self._find(loan_id)
        if row is None:
            raise Refusal(400, f"Loan {loan_id} not found")
        return row


def _rate(text: str) -> Decimal:
    try:
        rate = Decimal(text)
        if rate.is_finite() and rate >= 0:
            return rate
    except InvalidOperation:
        pass
    raise Refusal(400, "[<class 'decimal.ConversionSyntax'>]")


def _payment_cents(principal_cents: int, annual_rate: Decimal, months: int) -> int:
    """One of ``months`` equal instalments."""
    monthly = annual_rate / 12
    if monthly == 0:
        return _rounded(Decimal(principal_cents) / months)
    return _rounded(principal_cents * monthly / (1 - (1 + monthly) ** -months))


def _rounded(cents: Decimal) -> int:
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))
