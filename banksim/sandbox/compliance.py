"""Compliance alerts: what the bank notes about a movement, whether it lets it through or not.

Rules, texts and risk scores are those measured on the real bank.  Kept in memory, the newest
`MAX_ALERTS`; what is pushed out is counted.

Not handled: `high_velocity`, which rests on the real bank's count of violations (and on the
gap in it that this bank does not have); changing an alert's status, for which no route exists.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from banksim.domain.money import minor_digits
from banksim.sandbox import bank_values as values

MAX_ALERTS = 10_000
_ROUND_RISK = {"tier_0": 60, "tier_1": 40}


class ComplianceAlerts:
    def __init__(
        self, new_id: Callable[[], str], now_s: Callable[[], float], maximum: int = MAX_ALERTS
    ) -> None:
        self._new_id = new_id
        self._now_s = now_s
        self._alerts: deque[dict[str, Any]] = deque(maxlen=maximum)
        self.dropped = 0

    def look(self, customer_id: Callable[[], str], tier: str | None, cents: int, currency: str) -> None:
        """Note what is remarkable about an amount; ``customer_id`` is only asked for when something is."""
        unit = 10 ** minor_digits(currency)
        shown = values.money_text(cents, currency)
        if cents >= 5_000 * unit and cents % (500 * unit) == 0:
            risk = _ROUND_RISK.get(tier or "", 30)
            self._add(customer_id(), "round_dollar_amounts", f"Round dollar amount: {shown}", risk)
        if currency == "USD" and 9_500_00 <= cents <= 9_990_00:
            self._add(customer_id(), "structured_transaction", f"Possible structuring: {shown}", 70)
        if cents > 5_000 * unit and tier in ("tier_0", "tier_1"):
            self._add(customer_id(), "unusual_transaction_size", f"Unusual transaction size: {shown}", 50)

    def listed(self, status: str | None = None, min_risk: int = 0) -> list[dict[str, Any]]:
        """Highest risk first."""
        found = [
            alert
            for alert in self._alerts
            if (status is None or alert["status"] == status) and alert["risk_score"] >= min_risk
        ]
        return sorted(found, key=lambda alert: -int(alert["risk_score"]))

    def _add(self, customer_id: str, kind: str, description: str, risk: int) -> None:
        self.dropped += len(self._alerts) == self._alerts.maxlen
        self._alerts.append(
            {
                "id": self._new_id(),
                "customer_id": customer_id,
                "activity_type": kind,
                "description": description,
                "risk_score": risk,
                "status": "open",
                "created_at": values.iso_utc(self._now_s()),
            }
        )
