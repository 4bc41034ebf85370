"""Values the bank accepts, and the texts it refuses others with.

Source of every list, limit and text: the wire contract measured on the real bank.  Error texts are
part of the contract, since its clients tell a business refusal from a fault by their prefix.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from banksim.domain.money import MINOR_DIGITS, minor_digits, to_wire
from banksim.sandbox.fields import Fields, Refusal
from banksim.sandbox.ledger import MAX_AMOUNT_CENTS

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


def choice(value: str, accepted: frozenset[str], enum_name: str) -> str:
    """``value`` when accepted.  Raises Refusal(400) in the words of a Python enum."""
    if value not in accepted:
        raise Refusal(400, f"{value!r} is not a valid {enum_name}")
    return value


def check_currency(currency: str) -> str:
    if currency not in MINOR_DIGITS:
        raise Refusal(400, repr(currency))
    return currency


def check_email(email: str) -> str:
    if not _EMAIL.fullmatch(email):
        raise Refusal(400, "Invalid email format")
    return email


def check_date(text: str) -> None:
    """An ISO date or datetime."""
    try:
        date.fromisoformat(text)
    except ValueError:
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise Refusal(400, str(error)) from None


def read_address(fields: Fields) -> str | None:
    """The address's country, or None where no address was given; the rest is only checked."""
    address = fields.object("address", required=False)
    if address is None:
        return None
    for name in ("line1", "city", "state", "postal_code"):
        address.text(name)
    address.optional_text("line2")
    return address.text("country")


def check_country(country: str | None) -> None:
    if country is not None and not _COUNTRY.fullmatch(country):
        raise Refusal(400, "Country must be 2-letter ISO code (e.g., 'US', 'CA')")


def read_money(fields: Fields, name: str = "amount") -> tuple[str, str]:
    """(amount text, currency) of a required money object, both still unchecked."""
    money = fields.object(name)
    return ("", "") if money is None else (money.text("amount"), money.text("currency"))


def money_cents(amount: str, currency: str) -> int:
    """Cents, rounded half-up.  Raises Refusal(400) for text that is no amount or an unknown currency."""
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise Refusal(400, "[<class 'decimal.ConversionSyntax'>]") from None
    check_currency(currency)
    try:
        if not value.is_finite():
            raise InvalidOperation
        cents = int(value.scaleb(minor_digits(currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    except InvalidOperation:
        raise Refusal(400, "[<class 'decimal.InvalidOperation'>]") from None
    if abs(cents) > MAX_AMOUNT_CENTS:
        raise Refusal(400, "[<class 'decimal.InvalidOperation'>]")
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
    """True when compliance blocks: over the tier's limit, or an owner who is no customer."""
    if tier is None:
        return True
    limit_cents: int = TIER_LIMIT_UNITS[tier] * 10 ** minor_digits(currency)
    return amount_cents > limit_cents
