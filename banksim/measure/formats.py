"""Figures as people read them: three digits, a unit, thin spaces, and "n/a" where there is none.

Used by every page and text that shows a figure; nothing here computes one.
"""

from __future__ import annotations

from math import floor, log10

from banksim.model.money import minor_digits

THIN = "\u202f"  # narrow no-break space: between thousands, and before a unit
NOT_AVAILABLE = "n/a"
MINUS = "\u2212"


def count(value: float | None) -> str:
    """12345 → "12 345"."""
    if value is None:
        return NOT_AVAILABLE
    return f"{round(value):,}".replace(",", THIN).replace("-", MINUS)


def figure(value: float | None) -> str:
    """Three significant digits: 0.012345 → "0.0123", 12345.6 → "12 346"."""
    if value is None:
        return NOT_AVAILABLE
    if value == 0:
        return "0"
    decimals = max(0, 2 - floor(log10(abs(value))))
    text = f"{abs(value):,.{min(decimals, 9)}f}".replace(",", THIN)
    if "." in text and decimals > 2:
        text = text.rstrip("0").rstrip(".")
    return _signed(text, value)


def percent(share: float | None) -> str:
    """0.8734 → "87.3 %"."""
    if share is None:
        return NOT_AVAILABLE
    value = share * 100
    if value in (0, 100):
        return f"{value:.0f}{THIN}%"
    # 99.96 % must not turn into "100 %": keep the digit that says something was missed.
    if 99.9 < value < 100:
        return f"{floor(value * 1000) / 1000:.3f}{THIN}%"
    return f"{figure(value)}{THIN}%"


def interval(low: float | None, high: float | None) -> str:
    """The ends of a 95 % interval of a share: "76.3–89.6 %"."""
    if low is None or high is None:
        return NOT_AVAILABLE
    return f"{percent(low).removesuffix(THIN + '%')}–{percent(high)}"


def milliseconds(value: float | None) -> str:
    """Milliseconds, from ten seconds on seconds."""
    if value is None:
        return NOT_AVAILABLE
    if value >= 10_000:
        return f"{figure(value / 1000)}{THIN}s"
    return f"{figure(value)}{THIN}ms"


def rate(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else f"{figure(value)}{THIN}tx/s"


def duration(seconds: float | None) -> str:
    """90061 → "1 d 1 h"; two units at most."""
    if seconds is None:
        return NOT_AVAILABLE
    if seconds < 60:
        return f"{figure(seconds)}{THIN}s"
    rest = round(seconds)
    parts = []
    for name, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount:
            parts.append(f"{amount}{THIN}{name}")
        elif parts:
            break
    return " ".join(parts[:2])


#: Transactions a customer and simulated day that a detector's profiles are made for.
USUAL_PER_DAY = (0.5, 10.0)


def pace(transactions: int, customers: int | None, simulated_s: float) -> str:
    """What a detector that looks at customers' habits was shown, where it was no usual day; else empty."""
    if not customers or not simulated_s or not transactions:
        return ""
    per_day = transactions / customers / (simulated_s / 86_400)
    low, high = USUAL_PER_DAY
    if low <= per_day <= high:
        return ""
    return f"customers acted {figure(per_day)} times a simulated day, and {low:g} to {high:g} times is usual"


def money(amount_cents: int | None, currency: str) -> str:
    """123456 USD cents → "USD 1 234.56"; from 10 000 units on without cents."""
    if amount_cents is None:
        return NOT_AVAILABLE
    digits = minor_digits(currency)
    units = abs(amount_cents) / 10**digits
    text = f"{units:,.{0 if units >= 10_000 else digits}f}".replace(",", THIN)
    return f"{currency}{THIN}{_signed(text, amount_cents)}"


def words(name: str) -> str:
    """A key as words: "card_testing" → "card testing"."""
    return name.replace("_", " ").replace("-", " ")


def _signed(text: str, value: float) -> str:
    return MINUS + text if value < 0 and text.strip("0.") else text
