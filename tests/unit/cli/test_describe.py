"""The numbers of a description agree with a plain hour-by-hour sum."""

from __future__ import annotations

import pytest

from banksim.cli.scenarios import Summary, describe
from banksim.scenario import parse_scenario
from banksim.schedule.clock import PiecewiseRate
from tests.unit.scenario import examples

DAY_S = 86_400.0


def summary(extra: str, tps: float = 10.0) -> Summary:
    scenario = parse_scenario(examples.MINIMAL + extra)
    return describe(scenario, PiecewiseRate.constant(tps, scenario.duration_s))


@pytest.mark.parametrize(
    ("fraud", "expected"),
    [
        ("rate: 0.1", 864.0),  # no pattern named: a usual mix makes the rate
        ("rate: 0.1, patterns: [{type: card_testing}]", 864.0),
        ("rate: 0.1, patterns: [{type: card_testing, count: 7}]", 7.0),  # only what was asked for
        ("rate: 0.1, patterns: [{type: card_testing}, {type: large_amount, count: 7}]", 871.0),
        ("rate: 0.1, attack_window: [2, 4], patterns: [{type: card_testing}]", 72.0 + 7.92),
        # The window runs past midnight: an hour at the start of the run, two at its end.
        ("rate: 0.1, baseline_rate: 0, attack_window: [22, 1], patterns: [{type: card_testing}]", 108.0),
        (
            "rate: 0.1, phases: [{name: p, start_hour: 1.5, duration_hours: 1, "
            "patterns: [{type: card_testing}]}]",
            36.0,
        ),
    ],
)
def test_expected_fraud(fraud: str, expected: float) -> None:
    # 10 TPS for a day at 100x: 864 wall seconds, 8,640 transactions.
    described = summary(f"fraud: {{{fraud}}}\n")
    assert described.expected_fraud == pytest.approx(expected)
    counted = expected if "count" in fraud and expected == 7 else 7 if "count" in fraud else 0
    assert described.expected_transactions == pytest.approx(8640 + counted)


@pytest.mark.parametrize(
    ("extra", "note"),
    [
        ("start_at: 2026-01-05 05:00:00\nfraud: {attack_window: [2, 4]}\n", None),  # comes the next night
        ("fraud: {patterns: [{type: card_testing, delay_minutes: 5}]}\n", "delay_minutes of card_testing"),
        ("customers: 10\n", "transactions a customer and simulated day"),
    ],
)
def test_notes(extra: str, note: str | None) -> None:
    notes = [line for line in summary(extra).notes if "fraud.patterns names no kind" not in line]
    if note is None:
        assert notes == []
    else:
        assert len(notes) == 1 and note in notes[0]


def test_a_window_that_never_comes_is_noted() -> None:
    text = examples.MINIMAL.replace("24", "1") + "fraud: {attack_window: [2, 4]}\n"
    scenario = parse_scenario(text)
    described = describe(scenario, PiecewiseRate.constant(1.0, 3600.0))
    assert any("attack_window never comes" in note for note in described.notes)
    assert described.expected_fraud == pytest.approx(0.036)
