from __future__ import annotations

from datetime import datetime

import pytest

from banksim.fraud.calendar import Calendar, clock_windows
from banksim.fraud.patterns import DEFAULT_MIX, build_registry, plan_shares, resolve_patterns
from banksim.schedule.clock import offered_rate

from .helpers import desk, scenario

MIDNIGHT = datetime(2026, 1, 5)
HOUR_S = 3600.0
DAY_S = 86_400.0


def hours(windows):
    return [(w.start_s / HOUR_S, w.end_s / HOUR_S) for w in windows]


@pytest.mark.parametrize(
    ("window", "start_hour", "length_h", "expected"),
    [
        ((2, 4), 0, 24, [(2, 4)]),
        ((2, 4), 0, 50, [(2, 4), (26, 28)]),
        ((22, 4), 0, 24, [(0, 4), (22, 24)]),  # the window of the day before reaches in
        ((22, 4), 0, 48, [(0, 4), (22, 28), (46, 48)]),
        ((2, 4), 3, 24, [(0, 1), (23, 24)]),  # the run starts inside the window
        ((0, 24), 0, 48, [(0, 48)]),
        ((20, 24), 0, 24, [(20, 24)]),
        ((9, 10), 12, 4, []),
    ],
)
def test_clock_windows(window, start_hour, length_h, expected):
    start = MIDNIGHT.replace(hour=start_hour)
    assert hours(clock_windows(window, start, length_h * HOUR_S)) == expected


def share(**fraud):
    # Fully sophisticated: the share does not bend by the hour.
    return desk(fraud={"sophistication": 1.0} | fraud).share


def test_the_rate_holds_all_day_without_a_window():
    assert [p.value for p in share(rate=0.02, patterns=[{"type": "online_fraud"}])] == [0.02]


def test_inside_the_window_the_rate_outside_the_baseline():
    planned = share(rate=0.05, baseline_rate=0.002, attack_window=[2, 4], patterns=[{"type": "online_fraud"}])
    assert (planned.at(1 * HOUR_S), planned.at(3 * HOUR_S), planned.at(5 * HOUR_S)) == pytest.approx(
        (0.002, 0.05, 0.002)
    )


def test_patterns_with_a_count_take_nothing_from_the_share():
    planned = share(rate=0.05, attack_window=[2, 4], patterns=[{"type": "online_fraud", "count": 10}])
    assert planned.total() == 0


def test_without_patterns_a_mix_of_common_kinds_makes_the_rate():
    fraud = desk(fraud={"rate": 0.02, "sophistication": 1.0})
    assert fraud.share.at(HOUR_S) == 0.02
    assert {spec.typology for spec in fraud.planned} <= set(DEFAULT_MIX)
    assert len({spec.typology for spec in fraud.planned}) >= 6


def test_no_rate_no_fraud():
    assert desk(fraud={"rate": 0.0}).specs == ()


def test_a_phase_has_the_rate_during_itself_only():
    phases = [{"name": "raid", "start_hour": 5, "duration_hours": 1, "patterns": [{"type": "online_fraud"}]}]
    planned = share(rate=0.05, phases=phases)
    assert (planned.at(4.5 * HOUR_S), planned.at(5.5 * HOUR_S), planned.at(6.5 * HOUR_S)) == pytest.approx(
        (0, 0.05, 0)
    )


def test_weights_share_out_the_rate_and_the_parts_add_up():
    made = scenario(
        fraud={
            "rate": 0.04,
            "baseline_rate": 0.004,
            "attack_window": [2, 4],
            "patterns": [{"type": "online_fraud", "weight": 0.75}, {"type": "card_testing", "weight": 0.25}],
            "phases": [
                {"name": "raid", "start_hour": 8, "duration_hours": 1, "patterns": [{"type": "structuring"}]}
            ],
        }
    )
    tactics = resolve_patterns(made.fraud, build_registry())
    calendar = Calendar.of(made.fraud, made.start_at, made.duration_s)
    shares = plan_shares(tactics, calendar, made.fraud, offered_rate(made))
    for hour in (1, 3, 8.5, 12):
        parts = {key: rate.at(hour * HOUR_S) for key, rate in shares.by_pattern.items()}
        assert sum(parts.values()) == pytest.approx(shares.whole.at(hour * HOUR_S))
        assert parts["online_fraud"] == pytest.approx(3 * parts["card_testing"])
    raid = {key: rate.at(8.5 * HOUR_S) for key, rate in shares.by_pattern.items()}
    assert raid["structuring"] > 0.9 * shares.whole.at(8.5 * HOUR_S)


def test_windows_for_drawing_hold_attack_windows_and_phases_in_order():
    fraud = desk(
        duration_hours=48,
        fraud={
            "rate": 0.02,
            "attack_window": [2, 4],
            "patterns": [{"type": "online_fraud"}],
            "phases": [
                {"name": "raid", "start_hour": 1, "duration_hours": 1, "patterns": [{"type": "structuring"}]}
            ],
        },
    )
    assert [(w.label, w.start_s / HOUR_S) for w in fraud.windows] == [
        ("raid", 1),
        ("attack window", 2),
        ("attack window", 26),
    ]
