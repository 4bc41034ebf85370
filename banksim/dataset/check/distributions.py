"""Genuine rows against published figures: target and measured value side by side.

Tolerances are judgement: wide enough for what a persona's own rhythm changes, narrow
enough that a mistake in the code shows.  A figure that a set cannot have (weekdays of half a
week) is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import erf, log, sqrt

import numpy as np

from banksim.activity.calendar import PAY_SHARES
from banksim.dataset.check.sample import CHANNELS, GENUINE, KINDS, Figure, Sample, between, near
from banksim.model import Channel, Kind
from banksim.model.money import to_units
from banksim.world import unit_scale
from banksim.world.random import Bools

#: Card purchases by hour, % of a day (J, consistent with X sources).
HOURS = (
    *(0.8, 0.4, 0.25, 0.2, 0.25, 0.6, 1.8, 3.4, 4.8, 5.0, 5.4, 6.4),
    *(8.0, 7.4, 6.0, 6.0, 6.6, 7.6, 7.8, 7.0, 5.6, 4.2, 2.9, 1.6),
)
#: Card purchases by weekday, relative to their mean (J).
WEEKDAYS = (0.90, 0.93, 0.96, 1.02, 1.15, 1.18, 0.86)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Payments of a person a month (X, US consumers 2024).
PAYMENTS_A_MONTH = 48.0
#: Mean card purchase in dollars (C, Regulation II, 2023).
MEAN_PURCHASE = 46.7
#: Two kinds of card payments: share and mean in pounds (C, UK Finance, December 2023), brought to
#: `MEAN_PURCHASE` in all, each a log-normal with the sigma of card purchases (C, PaySim's aggregates).
MIXTURE = ((0.73, 17.3), (0.27, 80.0))
PURCHASE_SIGMA = 0.74
#: Share of purchases up to so many units in a Spanish card set (X, BankSim): another country, not judged.
BANDS = ((10, 0.18), (20, 0.37), (50, 0.83), (100, 0.965))
#: Purchases in a shop: 73 % of card payments inside the UK are contactless (C, December 2023).
IN_STORE = 0.73
#: Standard deviation of the logarithm of transfers (C, PaySim's aggregates).
TRANSFER_SIGMA = 1.39
MONTH_DAYS = 30.4
_LEAST_ROWS = 5000
_LEAST_PAID = 100


class Genuine:
    """The honest rows of a sample, as arrays."""

    def __init__(self, sample: Sample, currency: str) -> None:
        keep = sample["label"] == GENUINE
        self.time_s = sample.time_s[keep]
        self.units = sample["amount_cents"][keep] * to_units(1, currency) / unit_scale(currency)
        self.customer = sample["customer"][keep]
        self.kind = sample["kind"][keep]
        self.channel = sample["channel"][keep]
        self.purchase = self.kind == KINDS.index(Kind.PURCHASE)
        span_s = float(sample.time_s.max() - sample.time_s.min()) if len(sample) else 0.0
        self.days = span_s / 86_400

    def of(self, kind: Kind) -> Bools:
        found: Bools = self.kind == KINDS.index(kind)
        return found


def compare(sample: Sample, currency: str, customers: int) -> list[Figure]:
    """Every figure of this set that has a published counterpart."""
    rows = Genuine(sample, currency)
    if rows.purchase.sum() < _LEAST_ROWS:
        return []
    return [
        *_hours(rows),
        *_weekdays(rows),
        *_amounts(rows),
        *_channels(rows),
        *_frequency(rows, customers),
        *_salaries(rows),
        *_spending_wave(rows),
    ]


def _hours(rows: Genuine) -> Iterator[Figure]:
    counts = np.bincount((rows.time_s[rows.purchase] // 3600 % 24).astype(int), minlength=24)
    shares = counts / counts.sum() * 100
    judged = rows.days > 0.99
    for start in range(0, 24, 3):
        target, measured = sum(HOURS[start : start + 3]), float(shares[start : start + 3].sum())
        name = f"purchases {start:02d}–{start + 3:02d} h"
        words = f"{target:.1f} %"
        yield Figure(name, words, measured, target - 1, target + 1, "J, X", "{:.1f} %", judged)


def _weekdays(rows: Genuine) -> Iterator[Figure]:
    days = (rows.time_s[rows.purchase] // 86_400).astype(int)
    counts = np.bincount((days + 3) % 7, minlength=7)
    # Whole weeks only: else some days came more often.
    judged = rows.days > 6.99 and abs(rows.days / 7 - round(rows.days / 7)) < 0.02
    for day, target in enumerate(WEEKDAYS):
        measured = float(counts[day] / counts.sum() * 7)
        name, span = f"purchases on {DAY_NAMES[day]}", (target - 0.05, target + 0.05)
        yield Figure(name, f"{target:.2f}", measured, *span, "J", "{:.2f}", judged)


def _amounts(rows: Genuine) -> Iterator[Figure]:
    units = rows.units[rows.purchase]
    yield near("mean purchase", MEAN_PURCHASE, float(units.mean()), 0.15, "C")
    for share in (0.25, 0.5, 0.75, 0.95):
        measured = float(np.quantile(units, share))
        yield near(f"purchase, {share:.0%} quantile", mixture_quantile(share), measured, 0.3, "C")
    for most, target in BANDS:
        measured = float((units <= most).mean())
        yield Figure(f"purchases up to {most}", f"{target:.1%}", measured, 0, 1, "X", "{:.1%}", False)
    transfers = np.log(rows.units[rows.of(Kind.TRANSFER)])
    if len(transfers) < _LEAST_PAID:
        return
    yield near("transfers, sigma of the logarithm", TRANSFER_SIGMA, float(transfers.std()), 0.15, "C")


def mixture_quantile(share: float) -> float:
    """The purchase below which ``share`` of `MIXTURE` lies, in units."""
    scale = MEAN_PURCHASE / sum(part * mean for part, mean in MIXTURE)
    low, high = 0.01, 10_000.0
    while high - low > 0.001:
        middle = (low + high) / 2
        below = sum(
            part * _normal_below((log(middle / (mean * scale)) + PURCHASE_SIGMA**2 / 2) / PURCHASE_SIGMA)
            for part, mean in MIXTURE
        )
        low, high = (middle, high) if below < share else (low, middle)
    return low


def _normal_below(deviations: float) -> float:
    return (1 + erf(deviations / sqrt(2))) / 2


def _channels(rows: Genuine) -> Iterator[Figure]:
    in_store = float((rows.channel[rows.purchase] == CHANNELS.index(Channel.POS)).mean())
    span = (IN_STORE - 0.05, IN_STORE + 0.05)
    yield Figure("purchases in a shop", f"{IN_STORE:.0%}", in_store, *span, "C", "{:.0%}")


def _frequency(rows: Genuine, customers: int) -> Iterator[Figure]:
    paid_in = rows.of(Kind.SALARY) | rows.of(Kind.DEPOSIT)
    measured = float((~paid_in).sum()) / customers / max(rows.days, 1e-9) * MONTH_DAYS
    found = near("payments of a customer a month", PAYMENTS_A_MONTH, measured, 0.10, "X")
    yield replace(found, judged=rows.days > 6.99)


def _salaries(rows: Genuine) -> Iterator[Figure]:
    periods = _pay_periods(rows)
    if len(periods) < _LEAST_PAID:
        return
    # Somebody paid monthly shows it after two months at the earliest.
    judged = rows.days > 75
    total = sum(PAY_SHARES.values())
    names = {7: "weekly", 14: "every two weeks", 15: "twice a month", 30: "monthly"}
    for period, name in names.items():
        target, measured = PAY_SHARES[period] / total, periods.count(period) / len(periods)
        span = (target - 0.04, target + 0.04)
        yield Figure(f"paid {name}", f"{target:.1%}", measured, *span, "X", "{:.1%}", judged)


def _pay_periods(rows: Genuine) -> list[int]:
    """How often each customer with two salaries or more is paid, read off the days of their salaries."""
    salary = rows.of(Kind.SALARY)
    days: dict[int, list[int]] = {}
    for index, time_s in zip(rows.customer[salary].tolist(), rows.time_s[salary].tolist(), strict=True):
        days.setdefault(index, []).append(int(time_s // 86_400))
    periods = []
    for paid in days.values():
        gaps = [b - a for a, b in pairwise(paid)]
        if not gaps:
            continue
        if all(gap % 7 == 0 for gap in gaps):
            periods.append(7 if any(gap % 14 for gap in gaps) else 14)
        else:
            periods.append(30 if min(gaps) > 20 else 15)
    return periods


def _spending_wave(rows: Genuine) -> Iterator[Figure]:
    """Purchases a day in the week after a salary against the time after that week."""
    salary = rows.of(Kind.SALARY)
    days: dict[int, list[float]] = {}
    for index, time_s in zip(rows.customer[salary].tolist(), rows.time_s[salary].tolist(), strict=True):
        days.setdefault(index, []).append(time_s)
    early = late = early_days = late_days = 0.0
    order = np.argsort(rows.customer[rows.purchase], kind="stable")
    who, when = rows.customer[rows.purchase][order], rows.time_s[rows.purchase][order]
    for index, paid in days.items():
        low, high = np.searchsorted(who, [index, index + 1])
        moments = when[low:high]
        for a, b in pairwise(paid):
            if (b - a) / 86_400 < 12 or (b - a) / 86_400 > 35:
                continue
            week_end, first, last = np.searchsorted(moments, [a + 7 * 86_400, a, b])
            early, late = early + week_end - first, late + last - week_end
            early_days, late_days = early_days + 7, late_days + (b - a) / 86_400 - 7
    if early_days < 7 * _LEAST_PAID or not late:
        return
    ratio = float((early / early_days) / (late / late_days))
    yield between("spending in the week after pay day, later = 1", 1.05, 1.5, ratio, "X", "{:.2f}")
