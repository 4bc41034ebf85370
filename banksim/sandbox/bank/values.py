"""Values the bank accepts, and the texts it refuses others with.

Source of every list, limit and text: the wire contract measured on the real bank.  Error texts are
part of the contract, since its clients tell a business refusal from a fault by their prefix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from banksim.model.money import MINOR_DIGITS, minor_digits, to_wire
from banksim.sandbox.bank.ledger import MAX_AMOUNT_CENTS

# -- Reading request bodies by hand, with errors in the words of FastAPI ----------------------------
#
# Why by hand: the shapes are few and flat, and this costs a few microseconds a request.  All mistakes
# of a body are collected, in field order, and become one 422 answer whose ``detail`` is a list of
# ``{type, loc, msg, input[, ctx]}``, as the real bank gives it.


Problem = dict[str, Any]
#: Status and JSON-able body of an answer.
Reply = tuple[int, Any]

_NOT_AN_OBJECT = "Input should be a valid dictionary or object to extract fields from"


class Refusal(Exception):
    """Ends the handling of a request with an error answer."""

    def __init__(self, status: int, detail: str | list[Problem]) -> None:
        self.status = status
        self.detail = detail
        super().__init__(str(detail))

    @property
    def reply(self) -> Reply:
        return self.status, {"detail": self.detail}


def problem(kind: str, loc: list[str | int], msg: str, value: object, **ctx: object) -> Problem:
    found: Problem = {"type": kind, "loc": loc, "msg": msg, "input": value}
    if ctx:
        found["ctx"] = ctx
    return found


def invalid_json(position: int, error: str) -> Reply:
    """The 422 answer for a body that is not JSON."""
    return 422, {
        "detail": [problem("json_invalid", ["body", position], "JSON decode error", {}, error=error)]
    }


class Fields:
    """The fields of one JSON object; call `check` after the last read."""

    __slots__ = ("_body", "_loc", "problems")

    def __init__(
        self, body: Any, loc: tuple[str | int, ...] = ("body",), problems: list[Problem] | None = None
    ) -> None:
        self.problems: list[Problem] = [] if problems is None else problems
        self._loc = loc
        self._body: Mapping[str, Any] = {}
        if isinstance(body, dict):
            self._body = body
        elif body is None and len(loc) == 1:
            raise Refusal(422, [problem("missing", list(loc), "Field required", None)])
        elif len(loc) == 1:
            raise Refusal(422, [problem("model_attributes_type", list(loc), _NOT_AN_OBJECT, body)])

    def __contains__(self, name: str) -> bool:
        return self._body.get(name) is not None

    def check(self) -> None:
        """Raises Refusal(422) when any field read so far was wrong."""
        if self.problems:
            raise Refusal(422, self.problems)

    def _wrong(self, kind: str, name: str, msg: str, value: object) -> None:
        self.problems.append(problem(kind, [*self._loc, name], msg, value))

    def text(self, name: str) -> str:
        """A required string."""
        if name not in self._body:
            self._wrong("missing", name, "Field required", self._body)
            return ""
        value = self._body[name]
        if isinstance(value, str):
            return value
        self._wrong("string_type", name, "Input should be a valid string", value)
        return ""

    def optional_text(self, name: str) -> str | None:
        """A string, null or nothing."""
        return self.text(name) if self._body.get(name) is not None else None

    def boolean(self, name: str) -> bool:
        """A required truth value."""
        value = self._body.get(name)
        if isinstance(value, bool):
            return value
        if name not in self._body:
            self._wrong("missing", name, "Field required", self._body)
        else:
            self._wrong("bool_type", name, "Input should be a valid boolean", value)
        return False

    def object(self, name: str, *, required: bool = True) -> Fields | None:
        """A nested object; None when it is absent, null where allowed, or wrong."""
        value = self._body.get(name)
        if isinstance(value, dict):
            return Fields(value, (*self._loc, name), self.problems)
        if value is None and not required:
            return None
        if name not in self._body:
            self._wrong("missing", name, "Field required", self._body)
        else:
            self._wrong("model_attributes_type", name, _NOT_AN_OBJECT, value)
        return None

    def optional_list(self, name: str) -> list[Any]:
        value = self._body.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self._wrong("list_type", name, "Input should be a valid list", value)
        return []

    def optional_integer(self, name: str) -> int | None:
        value = self._body.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._wrong("int_type", name, "Input should be a valid integer", value)
        return None

    def number(self, name: str, default: float) -> float:
        """A finite number or numeric text; ``default`` when absent or null."""
        value = self._body.get(name)
        if value is None:
            return default
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):
                self._wrong(
                    "float_parsing",
                    name,
                    "Input should be a valid number, unable to parse string as a number",
                    value,
                )
                return default
            if math.isfinite(number):
                return number
            self._wrong("finite_number", name, "Input should be a finite number", None)
            return default
        self._wrong("float_type", name, "Input should be a valid number", value)
        return default


def query_integer(
    query: Mapping[str, str], name: str, default: int, minimum: int, maximum: int | None = None
) -> int:
    """A whole number from the query string.  Raises Refusal(422)."""
    text = query.get(name)
    if text is None:
        return default
    loc: list[str | int] = ["query", name]
    try:
        value = int(text)
    except ValueError:
        msg = "Input should be a valid integer, unable to parse string as an integer"
        raise Refusal(422, [problem("int_parsing", loc, msg, text)]) from None
    if value < minimum:
        msg = f"Input should be greater than or equal to {minimum}"
        raise Refusal(422, [problem("greater_than_equal", loc, msg, text, ge=minimum)])
    if maximum is not None and value > maximum:
        msg = f"Input should be less than or equal to {maximum}"
        raise Refusal(422, [problem("less_than_equal", loc, msg, text, le=maximum)])
    return value


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
