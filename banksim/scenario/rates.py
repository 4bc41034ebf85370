"""`transaction_rate`: how many transactions a wall-clock second, hour by hour.

Rates are on the wall clock whatever the speed, because that is what the system under
test feels.  Missing multipliers count as 1.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from banksim.scenario.fields import Block, Expected, Hour, HourWindow, Month, Multiplier, Number

Tps = Annotated[float, Number(0, 100_000)]
Weekday = Annotated[
    str,
    Field(pattern="^(monday|tuesday|wednesday|thursday|friday|saturday|sunday)$"),
    Expected("monday, tuesday, wednesday, thursday, friday, saturday or sunday"),
]


class TransactionRate(Block):
    """The offered rate over the day, the week and the year."""

    peak_tps: Tps = Field(description="Transactions per wall-clock second inside `business_hours`.")
    off_peak_tps: Tps = Field(description="Transactions per wall-clock second outside `business_hours`.")
    business_hours: HourWindow = Field(
        default=(8, 18),
        description="Clock hours [start, end) of the peak rate; the end hour is not part of it, 24 is "
        "midnight, and [22, 4] runs past midnight.",
    )
    weekend_multiplier: Multiplier = Field(
        default=1.0,
        description="Factor on Saturdays and Sundays; without effect when `weekday_multipliers` is given.",
    )
    hourly_multipliers: dict[Hour, Multiplier] = Field(
        default_factory=dict, description="Factor by clock hour (0 to 23); hours not named count as 1."
    )
    weekday_multipliers: dict[Weekday, Multiplier] = Field(
        default_factory=dict,
        description="Factor by weekday (monday to sunday); days not named count as 1.",
    )
    seasonal_multipliers: dict[Month, Multiplier] = Field(
        default_factory=dict, description="Factor by month (1 to 12); months not named count as 1."
    )
