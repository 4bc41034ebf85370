"""Money: integer cents inside the program, decimal text on the wire.

Floats never hold an amount that is added, compared or posted.  A "cent" is the
currency's minor unit; the yen has none, so one JPY "cent" is one yen.
"""

from __future__ import annotations

import re

#: Digits after the decimal point, per currency the core bank accepts.
MINOR_DIGITS: dict[str, int] = {"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "CAD": 2, "CHF": 2}

_CENTS_PER_UNIT = {currency: int(10**digits) for currency, digits in MINOR_DIGITS.items()}


def minor_digits(currency: str) -> int:
    """Digits after the decimal point in ``currency``; 2 where it is not known."""
    return MINOR_DIGITS.get(currency, 2)


def to_wire(amount_cents: int, currency: str) -> str:
    """Decimal text for the wire: ``to_wire(1250, "USD") == "12.50"``."""
    digits = MINOR_DIGITS.get(currency, 2)
    if digits == 2 and amount_cents >= 0:  # almost always, and asked for with every transaction
        return f"{amount_cents // 100}.{amount_cents % 100:02d}"
    if digits == 0:
        return str(amount_cents)
    sign = "-" if amount_cents < 0 else ""
    whole, fraction = divmod(abs(amount_cents), 10**digits)
    return f"{sign}{whole}.{fraction:0{digits}d}"


#: Decimal text as a bank writes it: plain digits, no more than a 64-bit number of cents holds.
_AMOUNT = re.compile(r"([+-]?)([0-9]{1,16})(?:\.([0-9]{1,16}))?", re.ASCII)


def from_wire(text: object, currency: str) -> int:
    """Cents from decimal text, or from a whole number of units.

    Raises ValueError for anything else: a fraction of a cent, a binary fraction, other digits, a power.
    """
    is_text = isinstance(text, str | int) and not isinstance(text, bool)
    found = _AMOUNT.fullmatch(str(text)) if is_text else None
    if found is None:
        raise ValueError(f"not an amount: {repr(text)[:40]}")
    sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
    digits = minor_digits(currency)
    if len(fraction) > digits:
        raise ValueError(f"not a whole number of cents: {text}")
    cents: int = int(whole) * 10**digits + int(fraction.ljust(digits, "0") or "0")
    return -cents if sign == "-" else cents


def to_units(amount_cents: int, currency: str) -> float:
    """Amount in whole currency units, for models and displays that want a number."""
    return amount_cents / _cents_per_unit(currency)


def to_cents(units: float, currency: str) -> int:
    """Cents nearest to ``units`` whole currency units (for amounts read from a scenario)."""
    return round(units * _cents_per_unit(currency))


def _cents_per_unit(currency: str) -> int:
    return _CENTS_PER_UNIT.get(currency, 100)
