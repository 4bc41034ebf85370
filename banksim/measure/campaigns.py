"""One line per campaign: how far it got before the first alert.

Transactions of one campaign are not independent (once a card is stopped, the rest may be
easy), so recall by campaign and the time to the first alert are reported with transaction recall.

A campaign belongs to one worker at a time.  Should it have moved to another worker, its
parts add up exactly as long as one part ended before the next began; parts that overlap
give a loss that is too high, never too low.

Money is counted once, where a victim or the bank loses it (`Planned.loss_cents`); laundering only moves
it.  Of the loss that a campaign's steps would be

    tried      had every step gone through                  = lost + stopped + refused
    lost       booked
    stopped    not booked, and the detector raised an alert
    refused    not booked for another reason: the bank said no, failed, or did not answer
    in reach   tried by the step of the first alert and later, and what had been taken before that and was
               still on an account of this bank: what acting on the first alert could have saved

Bound: ``limit`` campaigns have a line; transactions of further ones are counted in ``overflow``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import sqrt
from operator import attrgetter
from typing import Any

from banksim.measure.figures import CampaignRow
from banksim.measure.scores import Z_95, Clusters
from banksim.model import BankStatus, FraudStage, Kind, Outcome, Planned

#: Rows that can be asked for.
MAX_ROWS = 100


@dataclass(slots=True)
class CampaignLine:
    """Times are simulated seconds since the run's start, amounts integer cents.

    ``lost_before_*`` count what was booked before the first alert: everything booked while there is none,
    like ``tried_before_cents`` and ``held_cents``, which is what had been taken and not left the bank.
    """

    typology: str
    first_sim_s: float
    last_sim_s: float
    transactions: int = 0
    alerted: int = 0
    tried_cents: int = 0
    lost_cents: int = 0
    stopped_cents: int = 0
    moved_cents: int = 0
    first_alert_sim_s: float | None = None
    lost_before_transactions: int = 0
    lost_before_cents: int = 0
    tried_before_cents: int = 0
    held_cents: int = 0

    def add(self, planned: Planned, booked: bool, alert: bool) -> None:
        sim_s, loss_cents = planned.sim_s, planned.loss_cents
        self.first_sim_s = min(self.first_sim_s, sim_s)
        self.last_sim_s = max(self.last_sim_s, sim_s)
        self.transactions += 1
        self.tried_cents += loss_cents
        self.lost_cents += loss_cents * booked
        self.stopped_cents += loss_cents * (alert and not booked)
        self.moved_cents += moved_cents(planned) * booked
        if alert:
            self.alerted += 1
            if self.first_alert_sim_s is None:
                self.first_alert_sim_s = sim_s
        elif self.first_alert_sim_s is None:
            self.tried_before_cents += loss_cents
            if booked:
                self.lost_before_transactions += 1
                self.lost_before_cents += loss_cents
                self.held_cents += _stays_cents(planned)

    def merge(self, other: CampaignLine) -> None:
        mine_first = self.first_alert_sim_s is not None and self.first_alert_sim_s <= other.first_sim_s
        other_first = other.first_alert_sim_s is not None and other.first_alert_sim_s <= self.first_sim_s
        for name in _BEFORE if not mine_first else ():
            mine = 0 if other_first else getattr(self, name)
            setattr(self, name, mine + getattr(other, name))
        alerts = [at for at in (self.first_alert_sim_s, other.first_alert_sim_s) if at is not None]
        self.first_alert_sim_s = min(alerts, default=None)
        self.first_sim_s = min(self.first_sim_s, other.first_sim_s)
        self.last_sim_s = max(self.last_sim_s, other.last_sim_s)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def in_reach_cents(self) -> int:
        """What acting on the first alert could have saved; 0 without one."""
        if self.first_alert_sim_s is None:
            return 0
        return self.tried_cents - self.tried_before_cents + max(0, self.held_cents)

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
            value_cents=self.tried_cents,
            first_sim_s=self.first_sim_s,
            last_sim_s=self.last_sim_s,
            first_alert_sim_s=self.first_alert_sim_s,
            time_to_detect_s=self.time_to_detect_s,
            lost_before_transactions=self.lost_before_transactions,
            lost_before_cents=self.lost_before_cents,
            lost_cents=self.lost_cents,
            stopped_cents=self.stopped_cents,
            in_reach_cents=self.in_reach_cents,
            moved_cents=self.moved_cents,
        )

    def to_state(self) -> list[Any]:
        return list(_VALUES(self))


_VALUES = attrgetter(*(one.name for one in fields(CampaignLine)))
#: Sums over a campaign, and sums up to its first alert.
_SUMS = ("transactions", "alerted", "tried_cents", "lost_cents", "stopped_cents", "moved_cents")
_BEFORE = ("lost_before_transactions", "lost_before_cents", "tried_before_cents", "held_cents")


# -- Recall at one mix of typologies, so that stretches of a run can be compared --------------------
#
# A stretch has the fraud that happened to fall into it.  Its recall at the run's mix is
#
#     r = Σ w_t · caught_t / n_t          w_t: share of typology t in the run, of those in the stretch
#     var = Σ w_t² · d_t · p_t (1 − p_t) / n_t,   p_t = (caught_t + 1) / (n_t + 2)
#
# d_t is the design effect of the run's campaigns of that typology: transactions of one campaign are alike.

Mix = Mapping[str, int]
Tried = Mapping[str, tuple[int, int]]


def design_effects(lines: Iterable[CampaignLine]) -> dict[str, float]:
    """By typology, by how much the variance of its recall exceeds that of independent transactions."""
    groups: dict[str, Clusters] = {}
    for line in lines:
        groups.setdefault(line.typology, Clusters()).add(line.transactions, line.alerted)
    return {typology: group.design_effect() for typology, group in groups.items()}


def recall_at_mix(tried: Tried, mix: Mix, effects: Mapping[str, float]) -> tuple[float, float] | None:
    """(recall, its variance) of (n, caught) by typology; None without fraud of the mix."""
    shares = {name: mix.get(name, 0) for name, (n, _) in tried.items() if n}
    total = sum(shares.values())
    if not total:
        return None
    recall = variance = 0.0
    for name, part in shares.items():
        n, caught = tried[name]
        likely = (caught + 1) / (n + 2)
        recall += part / total * caught / n
        variance += (part / total) ** 2 * effects.get(name, 1.0) * likely * (1 - likely) / n
    return recall, variance


def with_ends(found: tuple[float, float]) -> tuple[float, float, float]:
    """A recall from `recall_at_mix` with the ends of its 95 % interval."""
    recall, half = found[0], Z_95 * sqrt(found[1])
    return recall, max(0.0, recall - half), min(1.0, recall + half)


def is_booked(outcome: Outcome) -> bool:
    """Whether the money moved, as far as anyone can tell; without a bank, whether nobody objected."""
    status = outcome.bank.status
    return status is BankStatus.POSTED or (
        status is BankStatus.SKIPPED and not outcome.detector.decision.is_alert
    )


def moved_cents(planned: Planned) -> int:
    """Money that a step of laundering moves."""
    return planned.transaction.amount_cents if planned.truth.stage is FraudStage.LAUNDERING else 0


def _stays_cents(planned: Planned) -> int:
    """By how much a booked step changes what has been taken and is still on an account of this bank."""
    kind = planned.transaction.kind
    if kind is Kind.TRANSFER:
        return planned.loss_cents  # between launderers it only changes hands
    return -moved_cents(planned) if kind in (Kind.WITHDRAWAL, Kind.PURCHASE) else 0


class Campaigns:
    """The lines of all campaigns, at most ``limit`` of them."""

    __slots__ = (
        "_changed",
        "_costliest",
        "_limit",
        "clusters",
        "detected",
        "in_reach_cents",
        "lines",
        "overflow",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.lines: dict[str, CampaignLine] = {}
        self.overflow = 0
        #: Campaigns with at least one alert.
        self.detected = 0
        #: Kept, so that a snapshot need not look at every campaign.
        self.in_reach_cents = 0
        self.clusters = Clusters()
        self._costliest: list[str] = []
        self._changed: set[str] = set()

    def add(self, planned: Planned, booked: bool, alert: bool) -> None:
        campaign_id, sim_s = planned.truth.campaign_id, planned.sim_s
        line = self.lines.get(campaign_id)
        if line is None:
            if len(self.lines) >= self._limit:
                self.overflow += 1
                return
            line = self.lines[campaign_id] = CampaignLine(planned.truth.typology, sim_s, sim_s)
        self.detected += alert and not line.alerted
        self._changed.add(campaign_id)
        self.in_reach_cents -= line.in_reach_cents
        if line.transactions:
            self.clusters.add(line.transactions, line.alerted, -1)
        line.add(planned, booked, alert)
        self.clusters.add(line.transactions, line.alerted)
        self.in_reach_cents += line.in_reach_cents

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
        self.in_reach_cents = sum(line.in_reach_cents for line in self.lines.values())
        self.clusters = Clusters()
        for line in self.lines.values():
            self.clusters.add(line.transactions, line.alerted)
        self._costliest, self._changed = [], set(self.lines)

    def to_state(self) -> dict[str, Any]:
        return {
            "lines": {campaign_id: line.to_state() for campaign_id, line in self.lines.items()},
            "overflow": self.overflow,
        }
