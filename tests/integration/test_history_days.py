"""Days before a run that bank and detector are told of first."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from statistics import median

import gevent

from banksim.dataset.stream import Stream
from banksim.model import Planned
from banksim.run.plan import Mode, build_parts, build_past, past_of
from banksim.run.run import State
from banksim.scenario import load_scenario
from tests.integration.driver import Driver, settings_for
from tests.integration.loopback import LoopbackCluster

SCENARIO = """\
name: A day before
duration_hours: 1
speed_multiplier: 1200
start_at: 2026-01-05 10:00:00
customers: 100
history_days: 1
transaction_rate: {peak_tps: 20, off_peak_tps: 10}
fraud: {rate: 0.05, patterns: [{type: card_testing}]}
"""


def planned(stream: Stream) -> list[Planned]:
    return [entry[0] for batch in stream.batches() for entry in batch.entries()]


def test_bank_and_detector_know_the_day_and_no_figure_holds_it(tmp_path: Path) -> None:
    run = Driver(settings_for(tmp_path, SCENARIO)).conduct()
    found = run.results
    assert found is not None, run.message
    played = found.run.history
    assert played is not None and played.days == 1 and played.not_taken == 0
    past = past_of(run.settings.scenario)
    assert past.start_at.isoformat() == "2026-01-04T10:00:00" and past.duration_hours == 24.0
    expected = sum(1 for _ in planned(Stream(build_past(run.settings.scenario, run.settings.seed, 1200.0))))
    assert played.transactions == expected > 500
    assert found.transactions.offered < 100
    (told,) = (text for text in found.limits if "before the run" in text.lower())
    assert "in no figure" in told
    assert sum(call.count for call in found.calls) < 3 * found.transactions.offered
    own = found.run.detector
    assert own is not None and 0 < own.processed <= found.transactions.sent  # since the run began
    assert found.reconciliation is not None and found.reconciliation.verdict == "balanced"


def test_workers_play_what_their_own_customers_did(tmp_path: Path) -> None:
    shown: set[str] = set()

    def watch(cluster: LoopbackCluster) -> None:
        while cluster.run.state is State.OPENING:
            shown.add(cluster.run.opening.text)
            gevent.sleep(0.02)

    settings = settings_for(tmp_path, SCENARIO, mode=Mode.SANDBOX)
    run = LoopbackCluster(settings, 2).conduct(watch)
    found = run.results
    assert found is not None and found.run.history is not None, run.message
    played, past = found.run.history, build_past(settings.scenario, settings.seed, settings.speed)
    expected = sum(1 for _ in planned(Stream(past)))
    assert (played.days, played.planned, played.transactions, played.not_taken) == (1, expected, expected, 0)
    assert any(text.startswith("playing 1 day of history: ") for text in shown)
    own = found.run.detector
    assert own is not None and 0 < own.processed <= found.transactions.sent
    assert found.reconciliation is not None and found.reconciliation.verdict == "balanced"


def test_victims_of_the_attack_have_a_past() -> None:
    scenario = load_scenario("fraud_attack", {"seed": 7}, environ={})
    speed = scenario.speed_multiplier
    run = planned(Stream(build_parts(scenario, 7, speed)))
    past = planned(Stream(build_past(scenario, 7, speed)))
    assert not any(one.truth.is_fraud for one in past)
    begin_s = scenario.start_at.replace(tzinfo=UTC).timestamp()
    assert max(one.transaction.timestamp_s for one in past) < begin_s
    ids = {one.transaction.transaction_id for one in past}
    assert len(ids) == len(past) and not ids & {one.transaction.transaction_id for one in run}
    victims = {one.transaction.account.customer_index for one in run if one.truth.is_fraud}
    earlier = [sum(one.transaction.account.customer_index == who for one in past) for who in victims]
    assert median(earlier) >= 20
