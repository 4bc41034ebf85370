"""A whole run from the inside: determinism, an event loop that never stalls, counts that survive pauses."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.measure.results import encode
from banksim.model import Planned
from banksim.run.run import End, Run
from tests.integration.driver import Driver, settings_for

EVEN = """\
name: Even
duration_hours: 2
speed_multiplier: 1800
customers: 40
arrivals: even
transaction_rate: {peak_tps: 50, off_peak_tps: 50}
fraud: {rate: 0.1, decoy_rate: 0, patterns: [{type: card_testing}]}
"""


def identity(planned: Planned) -> tuple[Any, ...]:
    tx = planned.transaction
    return (tx.transaction_id, tx.kind, tx.account, tx.amount_cents, tx.timestamp_s, planned.truth)


def test_one_seed_makes_the_same_customers_and_campaigns_and_another_makes_others(tmp_path: Path) -> None:
    runs = [Driver(settings_for(tmp_path / str(n), seed=seed)) for n, seed in enumerate((3, 3, 4))]
    for driver in runs:
        driver.conduct()
    people = []
    for driver in runs:
        assert driver.run.parts is not None
        people.append([driver.run.parts.world.population.customer(n) for n in range(60)])
    assert people[0] == people[1]
    assert people[0] != people[2]
    campaigns = [{identity(p) for p in driver.planned if p.truth.is_fraud} for driver in runs]
    assert campaigns[0] == campaigns[1]
    assert campaigns[0] != campaigns[2]
    genuine = [{identity(p) for p in driver.planned if not p.truth.is_fraud} for driver in runs]
    assert genuine[0] == genuine[1]


def test_counts_keep_their_promise(tmp_path: Path) -> None:
    driver = Driver(settings_for(tmp_path))
    run = driver.conduct()
    assert run.end is End.COMPLETED, run.message
    assert run.results is not None
    by_typology = encode(run.results)["fraud"]["by_typology"]
    assert by_typology["card_testing"]["transactions"] == 40
    assert by_typology["account_takeover"]["transactions"] == 10
    tally = encode(run.results)["transactions"]
    assert tally["offered"] == len(driver.planned) + tally["dropped"]
    assert tally["sent"] == len(driver.planned)


def test_the_event_loop_is_never_stalled(tmp_path: Path) -> None:
    gaps_ms: list[float] = []

    def beat(run: Run) -> None:
        before_s = time.perf_counter()
        while not run.finished.is_set():
            gevent.sleep(0.002)
            now_s = time.perf_counter()
            gaps_ms.append((now_s - before_s) * 1000)
            before_s = now_s

    run = Driver(settings_for(tmp_path)).conduct(beat)
    assert run.end is End.COMPLETED, run.message
    gaps_ms.sort()
    assert len(gaps_ms) > 500
    # From building the world to writing the report; a machine shared with others adds some of its own.
    assert gaps_ms[int(len(gaps_ms) * 0.99)] < 50


def test_a_pause_and_a_change_of_speed_neither_lose_nor_repeat_arrivals(tmp_path: Path) -> None:
    def meddle(run: Run) -> None:
        while run.moment()[0] < 0.5:
            gevent.sleep(0.01)
        run.pause()
        sim_s = run.moment()[1]
        gevent.sleep(0.7)
        assert run.moment()[1] == sim_s
        run.resume()
        gevent.sleep(0.5)
        run.set_speed(3600)

    driver = Driver(settings_for(tmp_path, EVEN))
    run = driver.conduct(meddle)
    assert run.end is End.COMPLETED, run.message
    assert run.parts is not None
    # Even arrivals: one each time the exposure, the integral of λ over running wall time, grows by one.
    running_s = sum(
        (after.sim_s - before.sim_s) / before.speed
        for before, after in pairwise(run.parts.clock.segments)
        if before.speed
    )
    last = run.parts.clock.segments[-1]
    running_s += (run.settings.scenario.duration_s - last.sim_s) / last.speed
    genuine = [p for p in driver.planned if not p.truth.is_fraud]
    dropped = run.measures.tally.dropped
    assert len(genuine) + dropped == pytest.approx(50 * 0.9 * running_s, abs=1.5)
    assert len({p.transaction.transaction_id for p in driver.planned}) == len(driver.planned)
    assert len({p.sim_s for p in genuine}) == len(genuine)


def test_tables_are_left_out_when_the_scenario_says_so(tmp_path: Path) -> None:
    quiet = EVEN.replace("duration_hours: 2", "duration_hours: 0.5") + "metrics: {export_csv: false}\n"
    run = Driver(settings_for(tmp_path, quiet)).conduct()
    assert {path.name for path in run.settings.folder.iterdir()} == {
        "results.json",
        "junit.xml",
        "report.html",
    }
