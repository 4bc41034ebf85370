from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise

import pytest

from banksim.activity.calendar import PAY_SHARES, PayDays
from banksim.world import World
from tests.unit.world.scenarios import WorldSettings

EPOCH = date(1970, 1, 1).toordinal()
YEAR = range(date(2026, 1, 1).toordinal() - EPOCH, date(2027, 1, 1).toordinal() - EPOCH)


@pytest.fixture(scope="module")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=1000), 7)


@pytest.fixture(scope="module")
def pay_days(world: World) -> PayDays:
    return PayDays(world.population)


@pytest.fixture(scope="module")
def paid(world: World, pay_days: PayDays) -> dict[int, list[int]]:
    """The pay days of everybody in a year."""
    days: dict[int, list[int]] = {index: [] for index in range(world.population.size)}
    for day in YEAR:
        for persona in world.personas:
            for index in pay_days.paid_on(persona, day):
                assert world.population.persona_of(index) == persona
                days[index].append(day)
    return days


def test_pay_periods_have_published_shares(world: World, pay_days: PayDays) -> None:
    counts = Counter(map(pay_days.period_days, range(world.population.size)))
    for period, percent in PAY_SHARES.items():
        assert counts[period] / 1000 == pytest.approx(percent / 100, abs=0.01)


def test_everybody_is_paid_as_often_as_their_period_says(
    paid: dict[int, list[int]], pay_days: PayDays
) -> None:
    times = {7: (52, 53), 14: (26, 27), 15: (24, 24), 30: (12, 12)}
    for index, days in paid.items():
        least, most = times[pay_days.period_days(index)]
        assert least <= len(days) <= most, (index, pay_days.period_days(index), len(days))


def test_weekly_pay_comes_on_the_same_weekday(paid: dict[int, list[int]], pay_days: PayDays) -> None:
    for index, days in paid.items():
        period = pay_days.period_days(index)
        if period <= 14:
            assert {b - a for a, b in pairwise(days)} == {period}


def test_nobody_is_paid_on_a_weekend(paid: dict[int, list[int]]) -> None:
    weekdays = {date.fromordinal(EPOCH + day).weekday() for days in paid.values() for day in days}
    assert weekdays == set(range(5))


def test_days_since_pay_day_count_from_it(paid: dict[int, list[int]], pay_days: PayDays) -> None:
    for index in (0, 17, 333, 912):
        last = paid[index][1]
        for after in range(paid[index][2] - last):
            assert pay_days.since(last + after)[pay_days.class_of(index)] == after
