"""The trend of a system's calls, requests sent again, and completions: figures and thresholds."""

from __future__ import annotations

import random

import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.measure.summary import build_results
from banksim.measure.thresholds.judge import Judge, parse_thresholds
from banksim.measure.thresholds.readings import Figures, ThresholdProblem, length_s
from banksim.measure.trends import Growth
from banksim.model import NOT_SCORED, At, BankReply, BankStatus, Ended, Outcome, refusal_reason
from banksim.targets import Call
from tests.unit.measure.make import planned
from tests.unit.report.make import ASKED, RUN


def bank(slope_ms: float, calls: int = 3_000, per_second: int = 100, seed: int = 1) -> Growth:
    """A bank whose calls take 20 ms give or take, and ``slope_ms`` more with every 1,000."""
    rng, growth = random.Random(seed), Growth()
    for number in range(calls):
        took_ms = 20.0 + slope_ms * number / 1000.0 + rng.expovariate(1 / 5.0)
        growth.add(number / per_second, 1, round(took_ms * 1000))
    return growth


@pytest.mark.parametrize("slope_ms", [5.0, 20.0])
def test_a_known_slope_is_found(slope_ms: float) -> None:
    found = bank(slope_ms).figures()
    assert found is not None and found.grows
    assert found.low_ms < slope_ms < found.high_ms
    assert found.slope_ms == pytest.approx(slope_ms, rel=0.1)
    assert found.calls_until(40.0, 1000.0) == pytest.approx(960 / slope_ms * 1000, rel=0.1)


def test_a_constantly_slow_bank_does_not_grow() -> None:
    verdicts = [bank(0.0, seed=seed).figures() for seed in range(40)]
    assert not any(found is None or found.grows for found in verdicts)


def test_a_change_of_rate_is_no_growth() -> None:
    """Under three times the load calls take longer: only stretches of a like rate are compared."""
    growth = Growth()
    for second in range(60):
        busy = second >= 40
        growth.add(
            second + 0.5, 300 if busy else 100, (300 * 60_000) if busy else (100 * 20_000 + second % 3)
        )
    found = growth.figures()
    assert found is not None and not found.grows


def test_workers_add_up_whatever_their_length() -> None:
    whole, parts = Growth(), [Growth(), Growth()]
    for number in range(4_000):
        at_s, took_us = number / 10.0, 1_000 + number
        whole.add(at_s, 1, took_us)
        parts[number % 2 if number > 300 else 0].add(at_s, 1, took_us)
    merged = Growth()
    for part in reversed(parts):
        merged.merge_state(part.to_state())
    assert merged.to_state() == whole.to_state()
    assert whole.length_s == 8.0


def measured(*calls: Call) -> Figures:
    measures = Measures(MeasureSettings())
    for number, call in enumerate(calls):
        measures.called(At(float(number), 0.0), [call])
    return Figures(measures, 10.0)


def values(figures: Figures, *texts: str) -> list[float | None]:
    return [verdict.value for verdict in Judge(parse_thresholds(texts)).verdicts(figures)]


def test_requests_sent_again_are_counted_by_system() -> None:
    figures = measured(
        Call("bastion", "POST", "/score", 3.0, 200, 1, 1, None, True, 2),
        Call("nexum", "POST", "/transactions/deposit", 3.0, 200, 1, 1, None),
    )
    assert values(figures, "resent == 0", "resent[bastion] == 0", "resent[nexum] == 0") == [2, 2, 0]
    assert [row.resent for row in figures.measures.calls.rows()] == [2, 0]


def test_completions_are_a_figure_of_their_own() -> None:
    def completed(took_ms: float, error: str | None = None) -> Call:
        name = "/transfers (never came)" if error else "/transfers"
        return Call("nexum", "COMPLETION", name, took_ms, 200, 0, 0, error)

    accepted = Call("nexum", "POST", "/transfers", 5.0, 202, 1, 1, None)
    figures = measured(
        *[accepted] * 4, completed(100), completed(200), completed(15_000), completed(9_000, "no completion")
    )
    assert values(figures, "within[10s] >= 99.9%", "within[150ms] >= 0") == [0.5, 0.25]
    median, slowest, call = values(
        figures, "completion.p50 <= 1s", "completion.max < 1s", "latency[nexum].max < 1s"
    )
    assert median == pytest.approx(200, rel=0.02)
    assert (slowest, call) == (15_000, 5)


@pytest.mark.parametrize("text", ["", "10", "s", "10x", "-1s"])
def test_a_length_in_brackets_has_a_unit(text: str) -> None:
    with pytest.raises(ThresholdProblem, match="expected a length with its unit"):
        length_s(text)


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("Insufficient funds. Available: 3.00", "funds"),
        ("Blocked by fraud detection", "fraud"),
        ("Blocked by compliance rules: tier_0", "compliance"),
        ("Daily limit exceeded", "limit"),
        ("limit: balance too low", "limit"),
        ("no", "other"),
        ("", "other"),
    ],
)
def test_why_a_bank_refused(detail: str, reason: str) -> None:
    assert refusal_reason(detail) == reason


def test_refusals_are_a_table_that_workers_add_up() -> None:
    whole = Measures(MeasureSettings())
    for detail in ("Insufficient funds", "Blocked by fraud rules", "Insufficient funds"):
        refused = Outcome(BankReply(BankStatus.REFUSED, detail), NOT_SCORED, 0.0, 1.0)
        whole.ended(At(1.0, 1.0), (Ended(planned(), refused),))
    merged = Measures(MeasureSettings())
    for _ in range(2):
        merged.merge(whole.to_state())
    results = build_results(RUN, merged, ASKED)
    assert results.refusals == {"funds": 4, "fraud": 2}
    assert any("refused 2 transactions by fraud rules of its own" in text for text in results.limits)
