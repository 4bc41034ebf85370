"""The offered rate is the product the scenario describes, hour by hour."""

from datetime import datetime
from types import SimpleNamespace

import pytest

from banksim.schedule.clock import clock_hours, in_hours, offered_rate, rate_at

MONDAY = datetime(2026, 1, 5)
SATURDAY = datetime(2026, 1, 10)


def rates(**changes: object) -> SimpleNamespace:
    plain = {
        "per": "wall",
        "peak_tps": 10.0,
        "off_peak_tps": 2.0,
        "business_hours": (8, 18),
        "weekend_multiplier": 1.0,
        "hourly_multipliers": {},
        "weekday_multipliers": {},
        "seasonal_multipliers": {},
    }
    return SimpleNamespace(**(plain | changes))


@pytest.mark.parametrize(
    ("hour", "window", "inside"),
    [
        (8, (8, 18), True),
        (17, (8, 18), True),
        (18, (8, 18), False),  # the end is exclusive
        (23, (0, 24), True),
        (23, (22, 4), True),  # past midnight
        (3, (22, 4), True),
        (4, (22, 4), False),
        (12, (22, 4), False),
    ],
)
def test_windows_of_hours(hour: int, window: tuple[int, int], inside: bool) -> None:
    assert in_hours(hour, window) is inside


def test_peak_in_business_hours_else_off_peak() -> None:
    assert rate_at(rates(), MONDAY.replace(hour=9)) == 10
    assert rate_at(rates(), MONDAY.replace(hour=18)) == 2


def test_multipliers_multiply_and_a_missing_key_is_one() -> None:
    rate = rates(
        hourly_multipliers={9: 1.5}, seasonal_multipliers={1: 0.8}, weekday_multipliers={"monday": 2.0}
    )
    assert rate_at(rate, MONDAY.replace(hour=9)) == pytest.approx(10 * 1.5 * 0.8 * 2)
    assert rate_at(rate, MONDAY.replace(hour=10)) == pytest.approx(10 * 0.8 * 2)
    assert rate_at(rate, datetime(2026, 2, 3, 9)) == pytest.approx(10 * 1.5)


def test_the_weekend_multiplier_gives_way_to_weekday_multipliers() -> None:
    noon = SATURDAY.replace(hour=12)
    assert rate_at(rates(weekend_multiplier=0.3), noon) == pytest.approx(3)
    assert rate_at(rates(weekend_multiplier=0.3), MONDAY.replace(hour=12)) == 10
    both = rates(weekend_multiplier=0.3, weekday_multipliers={"monday": 2.0})
    assert rate_at(both, noon) == 10


def test_hours_are_those_of_the_clock_even_when_the_run_starts_within_one() -> None:
    hours = clock_hours(datetime(2026, 1, 5, 8, 30), 2 * 3600)
    assert [(a, b, m.hour) for a, b, m in hours] == [(0, 1800, 8), (1800, 5400, 9), (5400, 7200, 10)]


def test_a_day_adds_up() -> None:
    scenario = SimpleNamespace(
        transaction_rate=rates(), start_at=MONDAY, duration_s=86_400.0, closed_days=frozenset(), load=None
    )
    rate = offered_rate(scenario)
    assert rate.total() == pytest.approx((10 * 10 + 14 * 2) * 3600)


def test_rates_of_simulated_seconds_grow_with_the_speed() -> None:
    scenario = SimpleNamespace(
        transaction_rate=rates(per="simulated"),
        start_at=MONDAY,
        duration_s=86_400.0,
        load=None,
        closed_days=frozenset(),
        speed_multiplier=60.0,
    )
    day = (10 * 10 + 14 * 2) * 3600  # transactions a simulated day, at any speed
    for rate, speed in ((offered_rate(scenario), 60.0), (offered_rate(scenario, 600.0), 600.0)):
        assert rate.total() / speed == pytest.approx(day)
    scenario.load = object()  # a search for capacity sets its own rate
    assert offered_rate(scenario, 600.0).total() == pytest.approx(day)
