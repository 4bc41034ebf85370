"""A data set and a live run of one seed are the same plan: the same campaigns, the same customers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from banksim.dataset.stream import Stream
from banksim.model import Planned
from banksim.run.plan import build_parts
from banksim.run.run import End
from tests.integration.driver import Driver, settings_for

EVENLY = """\
name: Evenly spaced
duration_hours: 4
speed_multiplier: 3600
start_at: 2026-01-05 09:00:00
customers: 60
arrivals: even
transaction_rate: {peak_tps: 150, off_peak_tps: 150}
fraud:
  rate: 0.1
  decoy_rate: 0.05
  patterns:
    - {type: card_testing, count: 40}
    - {type: account_takeover, count: 10, follows: card_testing, delay_minutes: 10}
    - {type: velocity_attack, weight: 1}
    - {type: structuring, weight: 1}
    - {type: fan_in, count: 5}
"""


def who_and_when(planned: Planned) -> tuple[Any, ...]:
    return (planned.sim_s, planned.transaction.account.customer_index)


def what(planned: Planned) -> tuple[Any, ...]:
    tx = planned.transaction
    return (tx.kind, tx.account, tx.counterparty, tx.amount_cents)


def accounts_of(planned: Planned) -> list[Any]:
    tx = planned.transaction
    return [ref for ref in (tx.account, tx.counterparty) if ref is not None]


def test_a_data_set_and_a_dry_run_contain_the_same_campaigns_and_customers(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, EVENLY)
    rows = [
        planned for planned, _, _ in Stream(build_parts(settings.scenario, settings.seed, settings.speed))
    ]
    driver = Driver(settings)
    run = driver.conduct()
    assert run.end is End.COMPLETED, run.message
    assert run.measures.tally.dropped == 0
    ours, theirs = (
        Counter(planned.truth.campaign_id for planned in made if planned.truth.campaign_id)
        for made in (rows, driver.planned)
    )
    assert len(ours) > 10 and ours == theirs, "campaigns, and how many transactions each makes"
    people, seen = (
        {planned.transaction.transaction_id: planned for planned in made if not planned.truth.campaign_id}
        for made in (rows, driver.planned)
    )
    assert len(people) > 400
    assert {name: who_and_when(planned) for name, planned in people.items()} == {
        name: who_and_when(planned) for name, planned in seen.items()
    }
    # A live run has planned some rows ahead when fraud takes money from an account; a data set plans
    # such rows again.  Only purchases of customers whose balance fraud has changed may differ.
    touched = {ref for planned in rows if planned.truth.campaign_id for ref in accounts_of(planned)}
    other = [name for name in people if what(people[name]) != what(seen[name])]
    assert len(other) < 0.02 * len(people)
    assert all(touched.intersection(accounts_of(people[name])) for name in other)
