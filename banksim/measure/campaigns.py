"""One line per campaign: how far it got before the first alert.

Transactions of one campaign are not independent (once a card is stopped, the rest may be
easy), so recall by campaign and the time to the first alert are reported with transaction recall.

A campaign belongs to one worker at a time.  Should it have moved to another worker, its
parts add up exactly as long as one part ended before the next began; parts that overlap
give a loss that is too high, never too low.

Bound: ``limit`` campaigns have a line; transactions of further ones are counted in ``overflow``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banksim.measure.figures import CampaignRow

#: Rows that can be asked for.
MAX_ROWS = 100


@dataclass(slots=True)
class CampaignLine:
    """Times are simulated seconds since the run's start, amounts integer cents.

    ``lost_before_*`` count what was booked before the first alert: everything booked while there is none.
    """

    typology: str
    first_sim_s: float
    last_sim_s: float
    transactions: int = 0
    alerted: int = 0
    amount_cents: int = 0
    first_alert_sim_s: float | None = None
    lost_before_transactions: int = 0
    lost_before_cents: int = 0

    def add(self, sim_s: float, amount_cents: int, booked: bool, alert: bool) -> None:
        self.first_sim_s = min(self.first_sim_s, sim_s)
        self.last_sim_s = max(self.last_sim_s, sim_s)
        self.transactions += 1
        self.amount_cents += amount_cents
        if alert:
            self.alerted += 1
            if self.first_alert_sim_s is None:
                self.first_alert_sim_s = sim_s
        elif booked and self.first_alert_sim_s is None:
            self.lost_before_transactions += 1
            self.lost_before_cents += amount_cents

    def merge(self, other: CampaignLine) -> None:
        mine_first = self.first_alert_sim_s is not None and self.first_alert_sim_s <= other.first_sim_s
        other_first = other.first_alert_sim_s is not None and other.first_alert_sim_s <= self.first_sim_s
        if other_first and not mine_first:
            self.lost_before_transactions = other.lost_before_transactions
            self.lost_before_cents = other.lost_before_cents
        elif not mine_first:
            self.lost_before_transactions += other.lost_before_transactions
            self.lost_before_cents += other.lost_before_cents
        alerts = [at for at in (self.first_alert_sim_s, other.first_alert_sim_s) if at is not None]
        self.first_alert_sim_s = min(alerts, default=None)
        self.first_sim_s = min(self.first_sim_s, other.first_sim_s)
        self.last_sim_s = max(self.last_sim_s, other.last_sim_s)
        self.transactions += other.transactions
        self.alerted += other.alerted
        self.amount_cents += other.amount_cents

    @property
    def time_to_detect_s(self) -> float | None:
        """Simulated seconds from the first transaction to the first alert; None without one."""
        if self.first_alert_sim_s is None:
            return None
        return max(0.0, self.first_alert_sim_s - self.first_sim_s)

    def as_row(self, campaign_id: str) -> CampaignRow:
        return CampaignRow(
            campaign=campaign_id,
            typology=self.typology,
            transactions=self.transactions,
            alerted=self.alerted,
            value_cents=self.amount_cents,
            first_sim_s=self.first_sim_s,
            last_sim_s=self.last_sim_s,
            first_alert_sim_s=self.first_alert_sim_s,
            time_to_detect_s=self.time_to_detect_s,
            lost_before_transactions=self.lost_before_transactions,
            lost_before_cents=self.lost_before_cents,
        )

    def to_state(self) -> list[Any]:
        return [
            self.typology,
            self.first_sim_s,
            self.last_sim_s,
            self.transactions,
            self.alerted,
            self.amount_cents,
            self.first_alert_sim_s,
            self.lost_before_transactions,
            self.lost_before_cents,
        ]


class Campaigns:
    """The lines of all campaigns, at most ``limit`` of them."""

    __slots__ = ("_changed", "_costliest", "_limit", "detected", "lines", "overflow")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.lines: dict[str, CampaignLine] = {}
        self.overflow = 0
        #: Campaigns with at least one alert.
        self.detected = 0
        self._costliest: list[str] = []
        self._changed: set[str] = set()

    def add(
        self, campaign_id: str, typology: str, sim_s: float, amount_cents: int, booked: bool, alert: bool
    ) -> None:
        line = self.lines.get(campaign_id)
        if line is None:
            if len(self.lines) >= self._limit:
                self.overflow += 1
                return
            line = self.lines[campaign_id] = CampaignLine(typology, sim_s, sim_s)
        self.detected += alert and not line.alerted
        self._changed.add(campaign_id)
        line.add(sim_s, amount_cents, booked, alert)

    def rows(self, limit: int) -> list[CampaignRow]:
        """At most MAX_ROWS, the costliest first: by what was lost before the first alert, then by start.

        A line only moves up while transactions are counted, so a newcomer is one that has changed.
        """
        candidates = self._changed.union(self._costliest)
        self._costliest = sorted(candidates, key=self._place)[:MAX_ROWS]
        self._changed.clear()
        return [self.lines[campaign_id].as_row(campaign_id) for campaign_id in self._costliest[:limit]]

    def _place(self, campaign_id: str) -> tuple[int, float, str]:
        line = self.lines[campaign_id]
        return -line.lost_before_cents, line.first_sim_s, campaign_id

    def merge_state(self, state: Mapping[str, Any]) -> None:
        for campaign_id, values in state["lines"].items():
            other = CampaignLine(*values)
            line = self.lines.get(campaign_id)
            if line is not None:
                line.merge(other)
            elif len(self.lines) < self._limit:
                self.lines[campaign_id] = other
            else:
                self.overflow += other.transactions
        self.overflow += state["overflow"]
        self.detected = sum(line.alerted > 0 for line in self.lines.values())
        self._costliest, self._changed = [], set(self.lines)

    def to_state(self) -> dict[str, Any]:
        return {
            "lines": {campaign_id: line.to_state() for campaign_id, line in self.lines.items()},
            "overflow": self.overflow,
        }
