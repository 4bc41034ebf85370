"""Amounts in other currencies: a scale, not an exchange rate.

All medians and incomes are written in units of about a dollar.  A currency whose unit
is worth far less multiplies them by a fixed round factor, so that a coffee costs 975
yen and not 6.50.  Nothing is ever converted with it.
"""

from __future__ import annotations

_UNIT_SCALE: dict[str, float] = {"JPY": 150.0}


def unit_scale(currency: str) -> float:
    """What to multiply an amount in dollar-like units with; 1 where nothing is known."""
    return _UNIT_SCALE.get(currency, 1.0)
