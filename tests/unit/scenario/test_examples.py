"""Every example of the original description loads, and means what it says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from banksim.model import ScenarioError
from banksim.scenario import parse_scenario
from tests.unit.scenario import examples


@pytest.mark.parametrize("text", examples.ALL.values(), ids=examples.ALL.keys())
def test_example_loads(text: str) -> None:
    assert parse_scenario(text).duration_hours > 0


def test_basic_structure_values() -> None:
    scenario = parse_scenario(examples.BASIC_WITH_OTHER_PATTERN)
    assert scenario.accounts_per_customer == 2
    assert scenario.initial_balance == Decimal("5000.00")
    assert scenario.transaction_rate.business_hours == (8, 18)
    assert scenario.transaction_rate.weekend_multiplier == 0.3
    assert scenario.fraud.attack_window == (2, 4)
    assert scenario.fraud.patterns[0].count == 100
    assert scenario.connections.kafka_bootstrap_servers == "localhost:9092"
    assert scenario.dashboard.host == "0.0.0.0"
    assert scenario.metrics.retention_minutes == 60


def test_placeholder_of_the_basic_structure_is_the_only_mistake_in_it() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(examples.BASIC)
    (problem,) = caught.value.problems
    assert problem.startswith("fraud.patterns[0].follows: no pattern of this scenario has the name or type")


def test_pattern_parameters_arrive() -> None:
    testing, takeover, velocity, large, location = parse_scenario(examples.PATTERN_TYPES).fraud.patterns
    assert testing.amount_range == (0.01, 5.0)
    assert (takeover.follows, takeover.delay_minutes, takeover.target_balance_pct) == (
        "card_testing",
        30,
        0.8,
    )
    assert (velocity.transaction_burst, velocity.time_window_seconds) == (50, 60)
    assert (large.amount_multiplier, large.suspicious_threshold) == (10, 5000)
    assert (location.location_jump_km, location.time_window_hours) == (1000, 1)


def test_multipliers_are_keyed_by_number_and_weekday() -> None:
    rate = parse_scenario(examples.TIME_PATTERNS).transaction_rate
    assert rate.hourly_multipliers == {6: 0.1, 9: 1.5, 12: 1.8, 17: 1.3, 23: 0.05}
    assert rate.weekday_multipliers["friday"] == 1.4
    assert rate.seasonal_multipliers[12] == 1.6


def test_alias_takes_the_known_name_and_phases_find_each_other() -> None:
    fraud = parse_scenario(examples.MULTI_PHASE).fraud
    assert [phase.start_hour for phase in fraud.phases] == [1, 2, 3]
    probes, testing, takeover = fraud.all_patterns
    assert probes.type == "card_testing"
    # A type means the first pattern of that type.
    assert fraud.find_pattern("card_testing", asking=takeover) is probes
    assert fraud.find_pattern("card_testing", asking=probes) is testing


def test_shapes_of_the_original_scenario_files() -> None:
    scenario = parse_scenario(examples.LAUNDERING_AND_ONBOARDING)
    mules, laundering, structuring, chosen, *_ = scenario.fraud.patterns
    assert (mules.hops, mules.amounts, mules.mule_accounts) == ((5, 5), (1000, 2500, 9000), 20)
    assert (laundering.type, laundering.hops) == ("mule_network", (3, 10))
    assert (structuring.split_amounts, chosen.split_amounts) == (True, (9000, 9500, 9900))
    assert scenario.onboarding is not None
    assert scenario.onboarding.first_transaction_delay_hours == (1.0, 24.0)
    assert scenario.onboarding.existing_share == 0.2
