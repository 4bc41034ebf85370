"""Holidays: which days they are, and that people, banks and employers keep them."""

from __future__ import annotations

import dataclasses
from datetime import date, datetime

import numpy as np
import pytest

from banksim.activity.block import ACH, BRANCH, SALARY, WIRE
from banksim.activity.calendar import PayDays
from banksim.activity.rows import RowPlanner
from banksim.model import ScenarioError
from banksim.scenario import Scenario, load_scenario
from banksim.scenario.fields import closed_days, easter_sunday
from banksim.schedule.clock import rate_at
from banksim.world import World
from tests.unit.activity.test_pay_days import EPOCH, YEAR
from tests.unit.world.scenarios import WorldSettings

DAY_S = 86_400
MONDAY = date(2026, 1, 5).toordinal() - EPOCH


def dates(*names: str, year: int = 2026) -> list[str]:
    days = (date.fromordinal(day + EPOCH) for day in sorted(closed_days(names, year)))
    return [day.isoformat() for day in days if day.year == year]


def scenario(holidays: object) -> Scenario:
    return load_scenario("calibrated", {"holidays": holidays}, environ={})


def test_federal_holidays_are_those_of_the_calendar() -> None:
    assert dates("us") == [
        "2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-04",
        "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25",
    ]  # fmt: skip


def test_closing_days_of_the_euros_payment_system_move_with_easter() -> None:
    assert dates("target", year=2025) == [
        "2025-01-01", "2025-04-18", "2025-04-21", "2025-05-01", "2025-12-25", "2025-12-26",
    ]  # fmt: skip
    known = {2000: (4, 23), 2016: (3, 27), 2024: (3, 31), 2026: (4, 5), 2038: (4, 25)}
    assert {year: (easter_sunday(year).month, easter_sunday(year).day) for year in known} == known


def test_lists_and_dates_add_up() -> None:
    assert scenario(["us", "2026-12-24"]).closed_days == closed_days(("us", "2026-12-24"), 2026)
    assert dates("us", "2026-12-24")[-2:] == ["2026-12-24", "2026-12-25"]


@pytest.mark.parametrize("wrong", ["2026-02-30", "fr", 5, True, "2026-12-24T10:00", "9999-01-01"])
def test_what_is_no_holiday_is_one_clear_error(wrong: object) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario([wrong])
    (problem,) = caught.value.problems
    assert "expected a date such as 2026-12-25, or us or target, got" in problem


def test_a_holiday_has_the_rate_of_a_sunday() -> None:
    rate, closed = scenario([]).transaction_rate, closed_days(("2026-07-03",), 2026)
    friday, sunday = datetime(2026, 7, 3, 12), datetime(2026, 7, 5, 12)
    assert rate_at(rate, friday, closed) == rate_at(rate, sunday) != rate_at(rate, friday)


def test_pay_comes_before_a_holiday_and_nobody_is_paid_on_one() -> None:
    world = World.from_scenario(WorldSettings(customers=300), 7)
    closed = closed_days(("us",), 2026)
    usual, moved = PayDays(world.population), PayDays(world.population, closed)
    thanksgiving = date(2026, 11, 26).toordinal() - EPOCH
    for persona in world.personas:
        before = [*usual.paid_on(persona, thanksgiving - 1), *usual.paid_on(persona, thanksgiving)]
        assert sorted(moved.paid_on(persona, thanksgiving - 1)) == sorted(before)
        assert not any(len(moved.paid_on(persona, day)) for day in closed)
        every_day = [sum(len(days.paid_on(persona, day)) for day in YEAR) for days in (usual, moved)]
        assert every_day[0] == pytest.approx(every_day[1], abs=0.01 * every_day[0])


def test_banks_and_employers_rest_and_people_shop_as_on_a_sunday() -> None:
    settings = WorldSettings(customers=300)
    closed = dataclasses.replace(settings, closed_days=frozenset({MONDAY}))
    world = World.from_scenario(closed, 7)
    sim_s = np.sort(np.random.default_rng(1).uniform(0, DAY_S, 1500))
    block = RowPlanner(world).plan(0, sim_s)
    usual = RowPlanner(World.from_scenario(settings, 7)).plan(0, sim_s)
    assert (usual.kind == SALARY).any() and np.isin(usual.channel, (ACH, WIRE, BRANCH)).any()
    assert not (block.kind == SALARY).any() and not np.isin(block.channel, (ACH, WIRE, BRANCH)).any()
    assert world.hour_of_week(9 * 3600) == 6 * 24 + 9 and world.hour_of_week(DAY_S) == 24
