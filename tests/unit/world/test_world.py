from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import pytest

from banksim.model import ScenarioError
from banksim.world import World
from tests.unit.world.scenarios import WorldSettings


def test_the_clock_of_the_world(world: World) -> None:
    assert world.start_epoch_s == datetime(2026, 1, 5, tzinfo=UTC).timestamp()
    assert (world.hour(0), world.weekday(0), world.hour_of_week(0)) == (0, 0, 0)
    assert world.hour_of_week(3600 * 24 * 6 + 3600 * 23 + 3599) == 167
    assert world.hour_of_week(3600 * 24 * 7) == 0
    assert world.timestamp_s(10) == world.start_epoch_s + 10


@pytest.mark.parametrize("days", range(0, 800, 37))
def test_weekday_and_hour_agree_with_the_calendar(days: int) -> None:
    world = World.from_scenario(WorldSettings(customers=1, start_at=datetime(2025, 7, 9, 5)), 1)
    moment = datetime(2025, 7, 9, 5) + timedelta(days=days, hours=days % 24)
    sim_s = (moment - datetime(2025, 7, 9, 5)).total_seconds()
    assert (world.weekday(sim_s), world.hour(sim_s)) == (moment.weekday(), moment.hour)


def test_a_start_with_a_zone_is_brought_to_utc() -> None:
    start = datetime(2026, 1, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    world = World.from_scenario(WorldSettings(customers=1, start_at=start), 1)
    assert (world.weekday(0), world.hour(0)) == (6, 23)


def test_the_world_is_frozen(world: World) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        world.seed = 3  # type: ignore[misc]


def test_balances_are_in_the_currencys_smallest_unit() -> None:
    yen = World.from_scenario(WorldSettings(customers=2000, currency="JPY"), 1).population
    mean = sum(yen.customer(i).accounts[0].opening_balance_cents for i in range(2000)) / 2000
    assert mean == pytest.approx(5000, rel=0.1)


def test_the_locale_sets_the_home_country() -> None:
    world = World.from_scenario(WorldSettings(customers=20, locale="de_DE"), 1)
    assert {world.population.customer(i).address.country for i in range(20)} == {"DE"}


@pytest.mark.parametrize(
    "settings", [WorldSettings(locale="xx_YY"), WorldSettings(personas={"student": {"share": "big"}})]
)
def test_what_is_wrong_in_the_scenario_is_a_scenario_error(settings: WorldSettings) -> None:
    with pytest.raises(ScenarioError):
        World.from_scenario(settings, 1)


def test_a_persona_of_the_scenario_is_in_the_population() -> None:
    personas = {"commuter": {"based_on": "salaried", "share": 1.0}}
    world = World.from_scenario(WorldSettings(customers=100, personas=personas), 1)
    assert world.population.count_of("commuter") == 50
