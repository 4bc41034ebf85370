"""The dispatcher against the wall clock: what it offers is what was planned, spaced as planned, on time.

Bounds leave room for a machine that does other things too; a closed model, a lost arrival or
a dispatcher that bunches what it owes does not fit in.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import gevent
import pytest

from tests.integration.rig import CONSTANT, DispatchRig

pytestmark = pytest.mark.timing

TPS, SECONDS = 500, 3.0
#: Kolmogorov-Smirnov: D above this over √n happens once in a thousand times by chance.
KS_ONE_IN_1000 = 1.95


def constant(arrivals: str) -> str:
    return CONSTANT.format(hours=SECONDS / 3600.0, arrivals=arrivals, tps=TPS)


def ks_distance(values: list[float], cumulative: list[float]) -> float:
    """Largest gap between the values' own distribution and ``cumulative``, both by sorted value."""
    n = len(values)
    return max(max((i + 1) / n - p, p - i / n) for i, p in enumerate(cumulative))


@pytest.fixture(scope="module")
def poisson() -> DispatchRig:
    rig = DispatchRig(constant("poisson"))
    rig.run()
    return rig


def test_everything_due_is_offered_and_started(poisson: DispatchRig) -> None:
    assert poisson.dropped == []
    assert len(poisson.starts) == poisson.measures.tally.offered
    wanted = TPS * SECONDS
    assert abs(len(poisson.starts) - wanted) < 4 * math.sqrt(wanted), "Poisson noise, and nothing else"


def test_it_keeps_time(poisson: DispatchRig) -> None:
    lags = poisson.lags_ms()
    assert lags[0] > -0.1, "nothing starts before it is due"
    assert lags[len(lags) // 2] < 5.0
    assert lags[int(0.9 * len(lags))] < 50.0
    done_by = [sum(start.started_s <= second for start in poisson.starts) for second in (1.0, 2.0)]
    due_by = [sum(start.due_s <= second for start in poisson.starts) for second in (1.0, 2.0)]
    for done, due in zip(done_by, due_by, strict=True):
        assert done >= 0.97 * due, "it does not fall behind"


def test_gaps_are_exponential(poisson: DispatchRig) -> None:
    due = [start.due_s for start in sorted(poisson.starts, key=lambda start: start.due_s)]
    gaps = sorted(b - a for a, b in itertools.pairwise(due))
    distance = ks_distance(gaps, [1.0 - math.exp(-TPS * gap) for gap in gaps])
    assert distance < KS_ONE_IN_1000 / math.sqrt(len(gaps))


def test_starts_fall_anywhere_in_the_run_alike(poisson: DispatchRig) -> None:
    starts = sorted(start.started_s for start in poisson.starts)
    distance = ks_distance(starts, [start / SECONDS for start in starts])
    assert distance < KS_ONE_IN_1000 / math.sqrt(len(starts))
    per_bin = Counter(int(start / 0.05) for start in starts)
    counts = [per_bin[number] for number in range(int(SECONDS / 0.05))]
    mean = sum(counts) / len(counts)
    dispersion = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1) / mean
    assert 0.4 < dispersion < 2.5, "0 is even spacing; bunches are far above 1"


def test_even_arrivals_are_evenly_due() -> None:
    rig = DispatchRig(constant("even"))
    rig.run()
    assert len(rig.starts) == TPS * SECONDS
    due = sorted(start.due_s for start in rig.starts)
    assert [b - a for a, b in itertools.pairwise(due)] == pytest.approx([1 / TPS] * (len(due) - 1), abs=1e-6)


def test_a_pause_loses_nothing_and_starts_nothing() -> None:
    pause_s: list[float] = []

    def disturb(rig: DispatchRig) -> None:
        for wait_s, change in ((0.5, rig.timekeeper.pause), (0.4, rig.timekeeper.resume)):
            gevent.sleep(wait_s)
            change()
            pause_s.append(rig.parts.clock.segments[-1].wall_s - rig.origin_s)

    rig = DispatchRig(constant("even"))
    rig.run(disturb)
    assert len(rig.starts) == TPS * SECONDS
    assert rig.dropped == []
    from_s, until_s = pause_s
    assert not [start for start in rig.starts if from_s + 1e-6 < start.due_s < until_s - 1e-6]
    late_s = [start.due_s for start in rig.starts if from_s < start.started_s < until_s]
    assert all(due_s <= from_s + 1e-6 for due_s in late_s), "who starts in a pause was due before it"
    assert rig.now_s() > SECONDS + until_s - from_s, "the pause comes on top"


def test_a_change_of_speed_neither_loses_nor_doubles() -> None:
    """Even arrivals are counted exactly: one per unit of exposure, whatever happens on the way."""
    changed_at_s: list[float] = []

    def disturb(rig: DispatchRig) -> None:
        gevent.sleep(0.5)
        rig.timekeeper.set_speed(2.0)
        changed_at_s.append(rig.timekeeper.changes[-1].sim_s)

    rig = DispatchRig(constant("even"))
    rig.run(disturb)
    # From the change on, a simulated second passes in half a wall second.
    exposure_s = changed_at_s[0] + (SECONDS - changed_at_s[0]) / 2.0
    assert abs(len(rig.starts) - TPS * exposure_s) <= 1
    assert rig.dropped == []


def test_steps_of_the_rate_take_effect_where_they_are() -> None:
    steps: list[tuple[float, float]] = [(0.0, TPS)]

    def disturb(rig: DispatchRig) -> None:
        for tps in (1_000.0, 250.0):
            gevent.sleep(0.8)
            steps.append((rig.now_s(), tps))
            rig.timekeeper.offer(tps)

    rig = DispatchRig(constant("even"))
    rig.run(disturb)
    ends_s = [from_s for from_s, _ in steps[1:]] + [SECONDS]
    for (from_s, tps), until_s in zip(steps, ends_s, strict=True):
        # What was late at a step was due under the rate before it.
        here = sum(from_s <= start.due_s < until_s for start in rig.starts)
        assert abs(here - tps * (until_s - from_s)) <= 2
    assert rig.dropped == []


@pytest.mark.parametrize("tps", [1_000, 4_000])
def test_many_arrivals_are_all_offered_in_time(tps: int) -> None:
    """A benchmark holds the lag to a few milliseconds; here is only a bound that a busy machine keeps."""
    seconds = 2.0
    rig = DispatchRig(CONSTANT.format(hours=seconds / 3600.0, arrivals="even", tps=tps), users=50)
    rig.run()
    assert len(rig.starts) == pytest.approx(tps * seconds, rel=0.005)
    assert rig.dropped == []
    last_s = max(start.started_s for start in rig.starts)
    assert last_s < seconds + 0.5, "nothing is owed at the end"
    lags = rig.lags_ms()
    assert lags[len(lags) // 2] < 20.0


DAY = """\
name: A day in no time
duration_hours: 24
speed_multiplier: 10000
start_at: 2026-01-05 00:00:00
customers: 1000
transaction_rate:
  peak_tps: 600
  off_peak_tps: 150
  hourly_multipliers: {12: 1.5, 20: 0.5}
fraud:
  rate: 0.05
  patterns:
    - {type: card_testing, count: 120}
    - {type: account_takeover, count: 20, follows: card_testing, delay_minutes: 10}
    - {type: velocity_attack, weight: 1}
    - {type: mule_network, weight: 1}
    - {type: structuring, weight: 1}
"""


def test_a_day_in_nine_seconds_keeps_every_campaign_and_every_hours_share() -> None:
    rig = DispatchRig(DAY, users=10)
    planned = {spec.campaign_id for spec in rig.parts.desk.planned}
    rig.run()
    assert rig.now_s() == pytest.approx(8.64, abs=1.0)
    assert rig.dropped == []
    assert len(planned) > 20
    assert planned <= {start.campaign_id for start in rig.starts}
    asked_for = sum(spec.size for spec in rig.parts.desk.specs if not spec.decoy)
    assert rig.measures.planned_fraud.total == asked_for > 0
    assert sum(start.campaign_id.startswith("card_testing") for start in rig.starts) == 120
    genuine = Counter(int(start.sim_s // 3600) for start in rig.starts if not start.campaign_id)
    rate = rig.parts.offered.times(rig.parts.desk.genuine_share)
    for hour in range(24):
        wanted = rate.integral(hour * 3600.0, (hour + 1) * 3600.0) / 10_000
        assert abs(genuine[hour] - wanted) < 4.5 * math.sqrt(wanted), f"hour {hour}"
    assert sum(genuine.values()) == pytest.approx(rate.total() / 10_000, rel=0.08)
