"""Offered rate: how many transactions a wall second the scenario asks for, when.

    λ(t) = (peak_tps in business hours, else off_peak_tps)
           × hourly_multipliers[hour] × weekday_multipliers[day] × seasonal_multipliers[month]
           × weekend_multiplier on Saturdays and Sundays, when weekday_multipliers is absent

A missing key counts as 1.  λ is in transactions per *wall* second whatever the speed,
because that is what the system under test feels; over simulated time it is constant
within each clock hour.  At speed v, one simulated second therefore offers λ/v.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from banksim.rate import Piece, PiecewiseRate

if TYPE_CHECKING:
    from banksim.scenario import Scenario
    from banksim.scenario.rates import TransactionRate

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECONDS_PER_HOUR = 3600.0


def offered_rate(scenario: Scenario) -> PiecewiseRate:
    """λ in transactions per wall second over the scenario's simulated seconds."""
    return PiecewiseRate(
        Piece(start_s, end_s, rate_at(scenario.transaction_rate, moment))
        for start_s, end_s, moment in clock_hours(scenario.start_at, scenario.duration_s)
    )


def rate_at(rate: TransactionRate, moment: datetime) -> float:
    """λ at one simulated moment, transactions per wall second."""
    base_tps = rate.peak_tps if in_hours(moment.hour, rate.business_hours) else rate.off_peak_tps
    if rate.weekday_multipliers:
        day = rate.weekday_multipliers.get(WEEKDAYS[moment.weekday()], 1.0)
    else:
        day = rate.weekend_multiplier if moment.weekday() >= 5 else 1.0
    hour = rate.hourly_multipliers.get(moment.hour, 1.0)
    return base_tps * hour * day * rate.seasonal_multipliers.get(moment.month, 1.0)


def in_hours(hour: int, window: tuple[int, int]) -> bool:
    """Whether a clock hour lies in [start, end), which may wrap past midnight ((22, 4) is legal)."""
    start, end = window
    if start <= end:
        return start <= hour < end
    return hour >= start or hour < end


def clock_hours(start_at: datetime, duration_s: float) -> list[tuple[float, float, datetime]]:
    """The run cut at full clock hours: (start_s, end_s, moment of the start) each."""
    hours = []
    start_s = 0.0
    while start_s < duration_s:
        moment = start_at + timedelta(seconds=start_s)
        into_hour_s = moment.minute * 60 + moment.second + moment.microsecond / 1e6
        end_s = min(duration_s, start_s + SECONDS_PER_HOUR - into_hour_s)
        hours.append((start_s, end_s, moment))
        start_s = end_s
    return hours
