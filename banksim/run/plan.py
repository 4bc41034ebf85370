"""Everything a run is made of that is decided before it starts: a function of scenario, seed and speed.

A live run and a data set start from the same parts.

Building takes a moment of CPU (word lists, campaign plans), so it is kept apart from
running and can be done in a thread beside the event loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from banksim.activity import Activity
from banksim.activity.onboarding import OnboardingPlan
from banksim.activity.payments import check_payments, payments_in
from banksim.fraud import FraudDesk
from banksim.fraud.program import check_fraud, plugin_paths
from banksim.fraud.registry import load_plugin, registry_of
from banksim.scenario import Scenario
from banksim.schedule.arrivals import Arrivals, make_arrivals
from banksim.schedule.clock import Clock
from banksim.schedule.rate import PiecewiseRate, offered_rate
from banksim.world import World, load_personas
from banksim.world.random import stream

# -- What part of a run's load one process makes: the whole of it, or a worker's share --------------
#
# customers   who acts from here
# campaigns   which are carried out here
# part        of the genuine arrivals that are offered from here, 0..1


class Share(Protocol):
    """One process's part of a run; it may change while the run goes on."""

    @property
    def shard(self) -> int:
        """Tells the random streams of processes apart; 0 for a process alone."""
        ...

    @property
    def part(self) -> float:
        """Part of the genuine arrivals, 0..1."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether everything is this process's, so that nobody needs to be asked for."""
        ...

    def has_customer(self, index: int) -> bool:
        """Whether the customer acts from here now."""
        ...

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:
        """Whether a campaign that starts at this simulated second is carried out here."""
        ...


class Whole:
    """A process alone."""

    shard = 0
    part = 1.0
    is_whole = True

    def has_customer(self, index: int) -> bool:  # noqa: ARG002 - everybody
        return True

    def has_campaign(self, campaign_id: str, start_s: float) -> bool:  # noqa: ARG002 - all of them
        return True


WHOLE: Share = Whole()


@dataclass(frozen=True, slots=True)
class Parts:
    """The plan of one run.

    ``offered`` is λ in transactions per wall second, ``genuine`` what honest people make of it.
    """

    world: World
    offered: PiecewiseRate
    genuine: PiecewiseRate
    clock: Clock
    arrivals: Arrivals
    activity: Activity
    desk: FraudDesk
    onboarding: OnboardingPlan | None

    def asked_tps(self, sim_s: float) -> float:
        """What is asked for at a simulated second, transactions per wall second; nothing while paused."""
        return 0.0 if self.clock.paused else self.offered.at(sim_s)


def check_plan(scenario: Scenario) -> None:
    """Raise ScenarioError for what a scenario's own check cannot see: personas, plugins, kinds of fraud."""
    personas = load_personas(scenario.personas)
    check_fraud(scenario)
    own = [kind for path in plugin_paths(scenario) for kind in payments_in(load_plugin(path))]
    check_payments(own, personas)


def build_parts(scenario: Scenario, seed: int, speed: float, shard: int = 0) -> Parts:
    """Plan a run at ``speed`` simulated seconds per wall second.  The same values give the same plan.

    Processes that share a run have the same people and campaigns; ``shard`` tells apart when
    each of them offers what to whom.
    """
    world = World.from_scenario(scenario, seed)
    offered = offered_rate(scenario)
    if scenario.load is not None:  # the rate is then what a search says; this is where it starts
        offered = PiecewiseRate.constant(scenario.load.start_tps, scenario.duration_s)
    plugins = [load_plugin(path) for path in plugin_paths(scenario)]
    payments = [kind for module in plugins for kind in payments_in(module)]
    desk = FraudDesk(world, scenario, seed, offered, speed, registry_of(plugins))
    genuine = offered.times(desk.genuine_share)
    arrivals = make_arrivals(scenario.arrivals, genuine, speed, stream(seed, *_arrival_names(shard)))
    onboarding = None
    if scenario.onboarding is not None:
        onboarding = OnboardingPlan(world, scenario, offered)
    return Parts(
        world=world,
        offered=offered,
        genuine=genuine,
        clock=Clock(scenario.duration_s, speed),
        arrivals=arrivals,
        activity=Activity(world, scenario, shard, payments, arrivals.upcoming),
        desk=desk,
        onboarding=onboarding,
    )


def _arrival_names(shard: int) -> tuple[str | int, ...]:
    return ("arrivals", shard) if shard else ("arrivals",)
