"""Customers who join during the run act from their first deposit on, not before, and never when refused."""

from __future__ import annotations

import gevent

from banksim.run.customers import Joiners
from banksim.run.dispatcher import Wakeup
from banksim.run.plan import build_parts
from banksim.scenario import parse_scenario
from banksim.schedule.simulation import Begun, Due, Rows, Simulation

SCENARIO = """\
name: Joining
duration_hours: 10
speed_multiplier: 1000
customers: 40
transaction_rate: {peak_tps: 1, off_peak_tps: 1}
fraud: {rate: 0, decoy_rate: 0}
onboarding: {existing_share: 0.25, kyc_approval_rate: 0.8, first_transaction_delay_hours: [0.1, 1.0]}
"""


def test_a_customer_acts_from_the_first_deposit_on() -> None:
    parts = build_parts(parse_scenario(SCENARIO, "joining.yaml", {}), 7, 1000.0)
    plan = parts.onboarding
    assert plan is not None
    expected = {index: plan.joining(index).first_deposit is not None for index in range(plan.existing, 40)}
    simulation = Simulation(parts)
    joiners = Joiners(plan, None, simulation, Wakeup())
    acted: set[int] = set()
    while simulation.peek() is not None:
        before = {index for index in range(40) if simulation.may_act(index)}
        event = simulation.step()
        if isinstance(event, Rows):
            acting = event.block.customer[event.start : event.end].tolist()
            assert all(simulation.may_act(index) for index in acting)
            if not set(acting) <= before:
                raise AssertionError("acts before the first deposit")
        elif isinstance(event, Due):
            index = event.planned.transaction.account.customer_index
            if index not in before:
                assert event.planned.transaction.description == "First deposit"
                acted.add(index)
            assert simulation.may_act(index)
        elif not isinstance(event, Begun):
            joiners.join(event)
            gevent.sleep(0)
            assert not simulation.may_act(event.customer_index)
    assert all(simulation.may_act(index) for index in range(plan.existing))
    assert acted == {index for index, deposits in expected.items() if deposits}
    assert len(acted) > 15 and joiners.rejected > 0
    assert joiners.counts() == {"joined": joiners.joined, "rejected": joiners.rejected, "failed": 0}
