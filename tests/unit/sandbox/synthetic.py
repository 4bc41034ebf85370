"""Hand-made streams of score requests: an ordinary town, and a builder for single transactions.

Deliberately independent of the package's own population, so that the detector is not tuned to it.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

START_S = 1_767_571_200.0  # Monday 2026-01-05 00:00 UTC
HOUR_S = 3_600.0
DAY_S = 86_400.0

_CATEGORIES = {
    "grocery": (42, 0.8),
    "cafe": (6.5, 0.5),
    "fuel": (48, 0.45),
    "electronics": (95, 1.0),
    "hotel": (170, 0.6),
}
_HOURS = [1, 1, 1, 1, 1, 1, 2, 4, 6, 6, 6, 8, 10, 9, 7, 7, 8, 9, 9, 8, 7, 5, 4, 2]


def body(number: int, customer: str, amount: float, at_s: float, **changes: Any) -> dict[str, Any]:
    """A purchase in a shop at home unless told otherwise; metadata fields may be given by name."""
    found: dict[str, Any] = {
        "transaction_id": f"tx-{customer}-{number}",
        "cif_id": customer,
        "amount": amount,
        "currency": "USD",
        "merchant_id": "shop-1",
        "merchant_category": "grocery",
        "channel": "pos",
        "country": "US",
        "timestamp": at_s,
    }
    metadata: dict[str, Any] = {
        "transaction_type": "purchase",
        "description": "Shopping",
        "account_id": f"acc-{customer}",
        "device_id": f"device-{customer}",
        "latitude": 42.36,
        "longitude": -71.06,
        "city": "Boston",
        "merchant": "Shop",
        "counterparty_account_id": "",
    }
    for name, value in changes.items():
        (found if name in found else metadata)[name] = value
    found["metadata"] = metadata
    return found


class Town:
    """Ordinary customers: purchases, cash, bills, transfers to a few friends, monthly pay."""

    def __init__(self, seed: int = 1, customers: int = 200, per_day: float = 4.0) -> None:
        self._rng = random.Random(seed)
        self._numbers = itertools.count()
        self._per_day = per_day
        self.names = [f"c{index}" for index in range(customers)]
        self._spending = {name: self._rng.lognormvariate(0, 0.4) for name in self.names}
        self._friends = {name: self._rng.sample(self.names, 4) for name in self.names}

    def days(self, count: float, from_s: float = START_S) -> list[dict[str, Any]]:
        """All transactions of ``count`` days in time order."""
        rng = self._rng
        moments = []
        for name in self.names:
            for _ in range(int(rng.gammavariate(4, self._per_day * count / 4)) + 1):
                day, hour = rng.uniform(0, count), rng.choices(range(24), _HOURS)[0]
                at_s = from_s + (int(day) * 24 + hour + rng.random()) * HOUR_S
                if at_s < from_s + count * DAY_S:
                    moments.append((at_s, name))
        return [self.ordinary(name, at_s) for at_s, name in sorted(moments)]

    def ordinary(self, name: str, at_s: float) -> dict[str, Any]:
        rng = self._rng
        number = next(self._numbers)
        kind = rng.choices(
            ["purchase", "withdrawal", "deposit", "salary", "transfer", "bill_payment"], [64, 7, 3, 5, 10, 11]
        )[0]
        place = {"latitude": 42.36 + rng.gauss(0, 0.05), "longitude": -71.06 + rng.gauss(0, 0.05)}
        if kind == "purchase":
            category = rng.choices(list(_CATEGORIES), [22, 14, 9, 2, 1])[0]
            median, sigma = _CATEGORIES[category]
            amount = round(median * self._spending[name] * rng.lognormvariate(0, sigma), 2)
            shop = f"{category}-{rng.randrange(20)}"
            channel = rng.choice(["pos", "pos", "pos", "online", "mobile"])
            return body(
                number,
                name,
                amount,
                at_s,
                merchant_id=shop,
                merchant_category=category,
                channel=channel,
                **place,
            )
        median, sigma, channel = {
            "withdrawal": (80, 0.6, "atm"),
            "deposit": (210, 0.9, "branch"),
            "salary": (1_800, 0.4, "ach"),
            "transfer": (85, 1.3, "mobile"),
            "bill_payment": (90, 0.6, "online"),
        }[kind]
        amount = round(median * self._spending[name] * rng.lognormvariate(0, sigma), 2)
        payee = f"acc-{rng.choice(self._friends[name])}" if kind == "transfer" else ""
        return body(
            number,
            name,
            amount,
            at_s,
            transaction_type=kind,
            channel=channel,
            merchant_id="",
            merchant_category="",
            counterparty_account_id=payee,
            **place,
        )
