"""What the bank accepts and keeps: request bodies and values, customers with their KYC, accounts' papers.

Source of every list, limit and text: the wire contract measured on the real bank.  Error texts are part of
the contract, since clients tell a business refusal from a fault by their prefix.

The data that the ledger does not need lives in `Registry`, in the same database.  The real bank enforces
neither unique emails nor unique account numbers, nor that a customer exists when an account is opened; so
neither does this.  Not kept: date of birth, address and documents, since the real bank never returns them.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field

from banksim.model.money import MINOR_DIGITS, minor_digits, to_wire
from banksim.sandbox.bank.database import Database
from banksim.sandbox.bank.ledger import MAX_AMOUNT_CENTS
from banksim.sandbox.http import Refusal

PRODUCT_TYPES = frozenset({"savings", "checking", "credit_line", "loan", "gl_internal"})
CHANNELS = frozenset({"atm", "branch", "online", "mobile", "api", "system"})
KYC_STATUSES = frozenset({"none", "pending", "verified", "expired", "rejected"})
KYC_TIERS = frozenset({"tier_0", "tier_1", "tier_2", "tier_3"})

#: Largest single transaction in whole units of any currency, by KYC tier.
TIER_LIMIT_UNITS = {"tier_0": 100, "tier_1": 1_000, "tier_2": 10_000, "tier_3": 100_000}
#: Beginning of the default account number, by product.
NUMBER_PREFIX = {
    "savings": "SAV",
    "checking": "CHK",
    "credit_line": "CRD",
    "loan": "LON",
    "gl_internal": "GL",
}
#: This channel skips compliance (funds are still checked); used to fund accounts.
SYSTEM_CHANNEL = "system"

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}")


# -- Request bodies; unknown fields are ignored, as the real bank does ------------------------------


class Money(BaseModel):
    amount: str
    currency: str


class Address(BaseModel):
    line1: str
    city: str
    state: str
    postal_code: str
    country: str
    line2: str | None = None


class NewCustomer(BaseModel):
    first_name: str
    last_name: str
    email: str
    phone: str | None = None
    date_of_birth: str | None = None
    address: Address | None = None


class ChangedCustomer(BaseModel):
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    address: Address | None = None


class Kyc(BaseModel):
    status: str
    tier: str | None = None
    documents: list[Any] | None = None
    expiry_days: int | None = None


class NewAccount(BaseModel):
    customer_id: str
    product_type: str
    currency: str
    name: str
    account_number: str | None = None
    interest_rate: str | None = None
    credit_limit: Money | None = None
    minimum_balance: Money | None = None
    daily_transaction_limit: Money | None = None
    monthly_transaction_limit: Money | None = None


class AccountMovement(BaseModel):
    """A deposit or a withdrawal."""

    account_id: str
    amount: Money
    description: str
    channel: str | None = None
    reference: str | None = None
    idempotency_key: str | None = None


class Transfer(BaseModel):
    from_account_id: str
    to_account_id: str
    amount: Money
    description: str
    channel: str | None = None
    reference: str | None = None
    idempotency_key: str | None = None


class HistoryPage(BaseModel):
    skip: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class BalancesPage(BaseModel):
    after: str = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000


# -- Values, checked in the bank's own words --------------------------------------------------------


def choice(value: str, accepted: frozenset[str], enum_name: str) -> str:
    """``value`` if it is accepted.  Raises Refusal(400) with the text of a Python enum."""
    if value not in accepted:
        raise Refusal(400, f"{value!r} is not a valid {enum_name}")
    return value


def check_currency(currency: str) -> None:
    if currency not in MINOR_DIGITS:
        raise Refusal(400, repr(currency))


def check_email(email: str | None) -> None:
    if email is not None and not _EMAIL.fullmatch(email):
        raise Refusal(400, "Invalid email format")


def check_date(text: str | None) -> None:
    """An ISO date or datetime, or None."""
    if text is None:
        return
    try:
        date.fromisoformat(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise Refusal(400, str(error)) from None


def check_address(address: Address | None) -> None:
    if address is not None and not _COUNTRY.fullmatch(address.country):
        raise Refusal(400, "Country must be 2-letter ISO code (e.g., 'US', 'CA')")


def money_cents(money: Money) -> int:
    """Cents, rounded half-up.  Raises Refusal(400) for an invalid amount or an unknown currency."""
    try:
        value = Decimal(money.amount)
    except InvalidOperation:
        raise Refusal(400, "[<class 'decimal.ConversionSyntax'>]") from None
    check_currency(money.currency)
    try:
        if not value.is_finite():
            raise InvalidOperation
        cents = int(value.scaleb(minor_digits(money.currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP))
        if abs(cents) > MAX_AMOUNT_CENTS:
            raise InvalidOperation
    except InvalidOperation:
        raise Refusal(400, "[<class 'decimal.InvalidOperation'>]") from None
    return cents


def money_json(amount_cents: int, currency: str) -> dict[str, str]:
    return {"amount": to_wire(amount_cents, currency), "currency": currency}


def money_text(amount_cents: int, currency: str) -> str:
    """As in error texts: ``USD 1,600.51``."""
    digits = minor_digits(currency)
    return f"{currency} {Decimal(amount_cents).scaleb(-digits):,.{digits}f}"


def iso_utc(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat()


def over_tier_limit(tier: str | None, amount_cents: int, currency: str) -> bool:
    """True when compliance blocks: over the tier's limit, or an owner that is not a customer."""
    if tier is None:
        return True
    limit_cents: int = TIER_LIMIT_UNITS[tier] * 10 ** minor_digits(currency)
    return amount_cents > limit_cents


# -- Customers and accounts' papers ---------------------------------------------------------------------


#: Columns a customer may change afterwards.
_CHANGEABLE = ("first_name", "last_name", "email", "phone")


class BankCustomer(NamedTuple):
    """A row of ``customers``."""

    customer_id: str
    first_name: str
    last_name: str
    email: str
    phone: str | None
    kyc_status: str
    kyc_tier: str
    created_at_s: float


class AccountPapers(NamedTuple):
    """A row of ``account_papers``."""

    account_id: str
    customer_id: str
    account_number: str
    product_type: str
    currency: str
    name: str
    created_at_s: float


class Registry:
    """The bank's customers and the papers of their accounts.  Not thread-safe."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add_customer(self, customer: BankCustomer) -> None:
        self._db.rows("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", customer)

    def customer(self, customer_id: str) -> BankCustomer | None:
        row = self._db.one("SELECT * FROM customers WHERE customer_id = ?", (customer_id,))
        return BankCustomer(*row) if row else None

    def change_customer(self, customer_id: str, changes: dict[str, str]) -> None:
        for column in _CHANGEABLE:
            if column in changes:
                self._db.rows(
                    f"UPDATE customers SET {column} = ? WHERE customer_id = ?", (changes[column], customer_id)
                )

    def set_kyc(self, customer_id: str, status: str, tier: str) -> None:
        self._db.rows(
            "UPDATE customers SET kyc_status = ?, kyc_tier = ? WHERE customer_id = ?",
            (status, tier, customer_id),
        )

    def add_account(self, papers: AccountPapers) -> None:
        self._db.rows("INSERT INTO account_papers VALUES (?, ?, ?, ?, ?, ?, ?)", papers)

    def account(self, account_id: str) -> AccountPapers | None:
        row = self._db.one("SELECT * FROM account_papers WHERE account_id = ?", (account_id,))
        return AccountPapers(*row) if row else None

    def accounts_of(self, customer_id: str) -> list[AccountPapers]:
        rows = self._db.rows(
            "SELECT * FROM account_papers WHERE customer_id = ? ORDER BY created_at_s, account_id",
            (customer_id,),
        )
        return [AccountPapers(*row) for row in rows]

    def owner_tier(self, account_id: str) -> tuple[bool, str | None]:
        """(the account exists, its owner's KYC tier, None when the owner is not a customer)."""
        row = self._db.one(
            "SELECT c.kyc_tier FROM account_papers a LEFT JOIN customers c ON c.customer_id = a.customer_id"
            " WHERE a.account_id = ?",
            (account_id,),
        )
        return (False, None) if row is None else (True, row[0])
