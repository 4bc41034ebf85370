"""Who joins during the run acts from their first deposit on, not before, and never when refused."""

from __future__ import annotations

import gevent

from banksim.activity import OnboardingPlan
from banksim.run.customers import Joiners
from banksim.run.dispatcher import Agenda, CustomerJoins, FirstDeposit
from banksim.schedule.rate import PiecewiseRate
from banksim.world import World
from tests.unit.world.scenarios import OnboardingSettings, WorldSettings

SETTINGS = WorldSettings(customers=40, onboarding=OnboardingSettings())


def test_a_customer_acts_from_the_first_deposit_on() -> None:
    world = World.from_scenario(SETTINGS, 7)
    plan = OnboardingPlan(world, SETTINGS, PiecewiseRate.constant(1.0, 36_000.0))
    expected = {index: plan.joining(index).first_deposit is not None for index in range(plan.existing, 40)}
    agenda = Agenda()
    joiners = Joiners(plan, None, agenda, wake=lambda: None)
    joiners.schedule_next()
    acted: set[int] = set()
    while len(agenda):
        _, entry = agenda.pop()
        if isinstance(entry, CustomerJoins):
            joiners.join(entry.joining)
            gevent.sleep(0)
            assert not joiners.acts(entry.joining.customer_index)
        elif isinstance(entry, FirstDeposit):
            index = entry.planned.transaction.account.customer_index
            assert not joiners.acts(index)
            entry.begin()
            assert joiners.acts(index)
            acted.add(index)
    assert all(joiners.acts(index) for index in range(plan.existing))
    assert acted == {index for index, deposits in expected.items() if deposits}
    assert len(acted) > 20 and joiners.rejected > 0
    assert joiners.counts() == {"joined": joiners.joined, "rejected": joiners.rejected, "failed": 0}
