"""The scenarios that come with banksim load, and are what their names say."""

from __future__ import annotations

import pytest

from banksim.cli.scenarios import Summary, describe
from banksim.report.console import length_text
from banksim.scenario import Scenario, load_scenario, survey_scenarios
from banksim.scenario.loader import SHIPPED_FOLDER
from banksim.schedule.clock import offered_rate

NAMES = [
    "demo",
    "showcase",
    "fraud_attack",
    "mule_network",
    "normal_day",
    "onboarding",
    "peak_load",
    "stress_1000",
    "multi_day_attack",
    "capacity",
    "outage",
    "hot_accounts",
]


def load(name: str) -> Scenario:
    return load_scenario(SHIPPED_FOLDER / f"{name}.yaml", environ={})


def summary(name: str, speed: float | None = None) -> Summary:
    scenario = load(name)
    return describe(scenario, offered_rate(scenario), speed)


def test_all_load() -> None:
    good, broken = survey_scenarios()
    assert not broken
    assert set(NAMES) <= {name for name, _ in good}


@pytest.mark.parametrize("name", NAMES)
def test_each_explains_itself(name: str) -> None:
    text = (SHIPPED_FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert load(name).description
    # A load test may ask more of each customer than people do, and the attack is at night.
    night = "transaction_rate.peak_tps is never reached"
    allowed = {"stress_1000": "", "capacity": "", "fraud_attack": night}
    assert all(name in allowed and note.startswith(allowed[name]) for note in summary(name).notes)


def test_normal_day_makes_ten_thousand_transactions() -> None:
    scenario = load("normal_day")
    expected = offered_rate(scenario).total() / scenario.speed_multiplier
    assert expected == pytest.approx(10_000, rel=0.03)
    assert summary("normal_day").fraud_share == pytest.approx(0.001)
    assert scenario.wall_length_s() == 864


def test_fraud_attack_rises_in_its_window() -> None:
    scenario = load("fraud_attack")
    offered = offered_rate(scenario)
    assert scenario.fraud.attack_window == (2, 4)
    assert scenario.start_at.hour == 1  # so the window is the second and third hour of the run
    assert min(offered.at(hour * 3600.0) for hour in (1, 2)) > 20
    assert scenario.fraud.rate == 0.15
    assert not any(pattern.count for pattern in scenario.fraud.all_patterns)  # the share holds at any speed
    assert scenario.fraud.outside_rate == 0.001


@pytest.mark.parametrize("name", ["fraud_attack", "demo"])
def test_takeover_follows_card_testing(name: str) -> None:
    fraud = load(name).fraud
    takeover = next(pattern for pattern in fraud.all_patterns if pattern.type == "account_takeover")
    for label in (takeover.follows, takeover.requires_successful):
        assert label is not None
        found = fraud.find_pattern(label, asking=takeover)
        assert found is not None and found.type == "card_testing"


def test_peak_load_stays_above_a_hundred() -> None:
    scenario = load("peak_load")
    offered = offered_rate(scenario)
    assert min(offered.at(hour * 3600.0) for hour in range(8, 23)) > 100
    assert scenario.start_at.weekday() == 4  # Friday


def test_mule_network_layers_and_structures() -> None:
    mules, structuring = load("mule_network").fraud.patterns
    assert mules.mule_accounts and mules.hops and structuring.threshold


def test_onboarding_checks_identities() -> None:
    scenario = load("onboarding")
    assert scenario.onboarding is not None
    assert "identity_theft" in {pattern.type for pattern in scenario.fraud.patterns}


def test_demo_takes_five_minutes_and_shows_an_attack_early() -> None:
    scenario = load("demo")
    demo = summary("demo")
    assert scenario.wall_length_s() == 300
    assert scenario.fraud.phases[0].start_hour * 3600 / scenario.speed_multiplier < 150
    assert demo.fraud_share == pytest.approx(0.02, abs=0.002)
    assert min(piece.value for piece in offered_rate(scenario)) >= 8 and demo.peak_tps <= 20


def test_the_showcase_shows_an_attack_at_once_and_ends_within_two_minutes() -> None:
    scenario = load("showcase")
    planned = summary("showcase")
    assert scenario.wall_length_s() <= 105
    assert scenario.fraud.phases[0].start_hour * 3600 / scenario.speed_multiplier < 10
    assert 550 <= planned.expected_transactions * planned.fraud_share <= 750  # recall within four points
    slowed = scenario.faults[0]
    assert slowed.target == "detector" and slowed.start_s > scenario.duration_s / 2  # after a time without


def test_speed_changes_length_and_number_but_not_the_rate() -> None:
    slow, fast = summary("normal_day", 50), summary("normal_day", 200)
    assert slow.wall_length_s == 4 * fast.wall_length_s
    assert slow.expected_transactions == pytest.approx(4 * fast.expected_transactions)
    assert slow.peak_tps == fast.peak_tps


def test_lengths_in_words() -> None:
    assert [length_text(s) for s in (0.5, 59, 300, 864, 3600, 86_400, 90_061)] == [
        "0.5 s",
        "59 s",
        "5 min",
        "14 min 24 s",
        "1 h",
        "24 h",
        "25 h 1 min",
    ]
