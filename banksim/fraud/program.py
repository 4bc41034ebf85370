"""The fraud desk: the whole plan of a run's fraud, and its campaigns as they are carried out.

Every process of a distributed run has an equal desk.  `share` and `planned` are pure functions
of (seed, scenario, offered rate, changes of speed); a campaign is then opened by the one
process it is assigned to, and its followers start in that same process, which alone
knows the loot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from banksim.fraud.attacker import Customs
from banksim.fraud.calendar import AttackWindow, Calendar, CampaignSpec
from banksim.fraud.campaign import Campaign
from banksim.fraud.patterns import resolve_tactics
from banksim.fraud.people import Cast
from banksim.fraud.plan import Plan, Planner
from banksim.fraud.registry import Registry, build_registry
from banksim.fraud.shares import plan_shares
from banksim.fraud.typology import Steps, Typology
from banksim.model import Outcome, Planned
from banksim.schedule.rate import PiecewiseRate
from banksim.world import World

if TYPE_CHECKING:
    from banksim.scenario import Scenario

logger = logging.getLogger(__name__)

# -- A campaign being carried out, one step at a time -----------------------------------------------
#
#     first() ──► Planned ──► (sent, answered) ──► advance(outcome) ──► Planned … ──► None
#
# Promises, whatever a typology does and whatever is answered:
#
# * exactly `spec.size` transactions.  A typology that ends early (its victim is drained, the
#   card is dead) is started again with the next victim.  Three starts in a row without a step
#   end the campaign short; so does a typology that raises, which is logged and kept in `fault`.
# * none at all when the campaign acts on successful targets alone and there are none.
# * simulated moments never decrease, and never pass the deadline.
#
# Nobody needs to answer quickly: moments are drawn from the campaign's stream, not from a
# clock.


#: Starts of a typology in a row that may yield nothing.
MAX_EMPTY_STARTS = 3


class CampaignRun:
    """Drives one typology.  ``approved`` counts steps that got through, ``restarts`` new victims."""

    def __init__(self, spec: CampaignSpec, typology: Typology, campaign: Campaign) -> None:
        self.spec = spec
        self.campaign = campaign
        self.approved = 0
        self.restarts = 0
        self.fault = ""
        self.ended_s = spec.start_s
        self._typology = typology
        self._steps: Steps | None = None
        self._last: Planned | None = None
        self._done = False

    @property
    def made(self) -> int:
        """Transactions handed out so far."""
        return self.campaign.made

    @property
    def finished(self) -> bool:
        return self._done

    def first(self) -> Planned | None:
        """The first transaction; None when there is nothing to do.  Call once."""
        if self.campaign.options.requires_successful and not self.campaign.inherited:
            return self._end()
        return self._next(None)

    def advance(self, outcome: Outcome) -> Planned | None:
        """The transaction after the one that got ``outcome``; None at the end."""
        if self._last is None or self._done:
            return self._end()
        self.approved += outcome.approved
        self.campaign.note(self._last, outcome)
        return self._next(outcome)

    def _next(self, outcome: Outcome | None) -> Planned | None:
        if self.campaign.left <= 0:
            return self._end()
        try:
            planned = self._ask(outcome)
        except Exception as error:  # a user's typology may raise anything; the run goes on without it
            self.fault = f"{type(error).__name__}: {error}"
            logger.exception("Campaign %s ends: its typology failed", self.spec.campaign_id)
            return self._end()
        if planned is None:
            return self._end()
        planned = self._in_order(planned)
        self.campaign.made += 1
        self._last = planned
        self.ended_s = planned.sim_s
        return planned

    def _ask(self, outcome: Outcome | None) -> Planned | None:
        """The typology's next step, from a new start if the last one has ended."""
        if self._steps is not None and outcome is not None:
            try:
                return _checked(self._steps.send(outcome))
            except StopIteration:
                self.restarts += 1
        for _ in range(MAX_EMPTY_STARTS):
            self._steps = self._typology.run(self.campaign)
            try:
                return _checked(next(self._steps))
            except StopIteration:
                continue
        return None

    def _in_order(self, planned: Planned) -> Planned:
        """``planned`` at a moment that keeps the promises; built-in typologies need no change."""
        earliest_s = self.spec.start_s if self._last is None else self._last.sim_s
        moment_s = max(earliest_s, min(planned.sim_s, self.spec.deadline_s))
        if moment_s == planned.sim_s:
            return planned
        timestamp_s = self.campaign.world.timestamp_s(moment_s)
        return replace(
            planned, sim_s=moment_s, transaction=replace(planned.transaction, timestamp_s=timestamp_s)
        )

    def _end(self) -> Planned | None:
        """Nothing more to do: always None, so that callers can return it."""
        self._done = True
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        return None


def _checked(step: object) -> Planned:
    if not isinstance(step, Planned):
        raise TypeError(f"a typology must yield what campaign.purchase(…) and the like return, not {step!r}")
    return step


class FraudDesk:
    """Plans and opens campaigns.

    ``offered`` is λ in transactions per wall second over simulated seconds, ``speed``
    simulated seconds per wall second.  Raises ScenarioError when a pattern's type or a
    plugin is not usable.

    Counters: ``missed`` followers that would have started after the end of the run,
    ``starved`` followers that required successes where there were none.
    """

    def __init__(
        self,
        world: World,
        scenario: Scenario,
        seed: int,
        offered: PiecewiseRate,
        speed: float,
        registry: Registry | None = None,
    ) -> None:
        self.registry = registry or build_registry(plugin_paths(scenario))
        self.missed = 0
        self.starved = 0
        self._world = world
        self._duration_s = offered.duration_s
        self._calendar = Calendar.of(scenario.fraud, scenario.start_at, offered.duration_s)
        tactics = resolve_tactics(scenario.fraud, self.registry)
        self._tactics = {tactic.key: tactic for tactic in tactics}
        shares = self._shares = plan_shares(tactics, self._calendar, scenario.fraud, offered)
        self._planner = Planner(seed, tactics, self._calendar, shares, offered)
        self._plan = self._planner.first(speed)
        self._cast = Cast(seed, world.population)
        self._inherited: dict[str, tuple[int, ...]] = {}
        self._followers = _by_parent(self._plan)
        joined_before = None if scenario.onboarding is None else scenario.onboarding.existing_share
        self._existing = round(world.population.size * (1.0 if joined_before is None else joined_before))

    @cached_property
    def _customs(self) -> Customs:
        # Takes a while to build, and a desk that only plans never needs it.
        return Customs.of(self._world)

    @property
    def share(self) -> PiecewiseRate:
        """Planned share of fraud (0..1) in λ at each simulated moment; counted patterns not included."""
        return self._shares.whole

    @property
    def decoy_share(self) -> PiecewiseRate:
        """Planned share of decoys (0..1) in λ; together with `share` never above 1."""
        return self._shares.decoys

    @property
    def genuine_share(self) -> PiecewiseRate:
        """What fraud and decoys leave of λ to the others."""
        return self._shares.genuine

    @property
    def planned(self) -> list[CampaignSpec]:
        """Campaigns, decoys too, with a start of their own, in order of start."""
        return list(self._plan.starts)

    @property
    def follow_ups(self) -> list[CampaignSpec]:
        """Campaigns that wait for the end of another; their starts are estimates."""
        return list(self._plan.follow_ups)

    @property
    def specs(self) -> list[CampaignSpec]:
        """All of them by (estimated) start, for a timeline."""
        return sorted((*self._plan.starts, *self._plan.follow_ups), key=lambda s: (s.start_s, s.campaign_id))

    @property
    def windows(self) -> list[AttackWindow]:
        """Attack windows and phases, for drawing."""
        return self._calendar.windows

    @property
    def enlarged(self) -> frozenset[str]:
        """Patterns whose campaigns had to grow because a run has at most `plan.MAX_CAMPAIGNS`."""
        return self._plan.enlarged

    def replan(self, from_s: float, speed: float) -> list[CampaignSpec]:
        """The rate-driven campaigns from ``from_s`` (simulated) on, planned anew for ``speed``.

        They replace every planned campaign with `rate_driven` that starts at or after ``from_s``.
        All processes must see the same changes of speed in the same order.
        """
        self._plan = self._planner.again(self._plan, from_s, speed)
        self._followers = _by_parent(self._plan)
        return [spec for spec in self._plan.starts if spec.rate_driven and spec.start_s >= from_s]

    def open(self, spec: CampaignSpec, onboarded: Callable[[int], bool] | None = None) -> CampaignRun:
        """The campaign, ready for `first`.

        ``onboarded(index)`` says who is a customer already; without it, those who were there
        before the run.
        """
        tactic = self._tactics[spec.pattern]
        campaign = Campaign(
            spec,
            tactic.pattern,
            tactic.typology,
            self._world,
            self._cast,
            self._customs,
            self._inherited.pop(spec.campaign_id, ()),
            onboarded or self._was_there,
        )
        return CampaignRun(spec, tactic.typology, campaign)

    def finished(self, run: CampaignRun, at_s: float) -> list[CampaignSpec]:
        """The followers of an ended campaign, now with their start; they inherit its loot.

        A follower starts its delay after the *simulated* moment of the campaign's last step;
        ``at_s``, when that was noticed, is only logged.  Call once per campaign.
        """
        loot = tuple(run.campaign.loot)
        logger.debug(
            "Campaign %s made %d of %d, %d targets open; noticed %.1f simulated seconds later",
            run.spec.campaign_id,
            run.made,
            run.spec.size,
            len(loot),
            at_s - run.ended_s,
        )
        ready = []
        for spec in self._followers.get(run.spec.campaign_id, ()):
            tactic = self._tactics[spec.pattern]
            start_s = self._planner.follow_start(tactic, run.ended_s)
            if tactic.pattern.requires_successful and not loot:
                self.starved += 1
            elif start_s >= self._duration_s:
                self.missed += 1
            else:
                deadline_s = self._planner.follow_deadline(tactic, start_s, spec.size)
                self._inherited[spec.campaign_id] = loot
                ready.append(replace(spec, start_s=start_s, deadline_s=deadline_s))
        return ready

    def _was_there(self, index: int) -> bool:
        return index < self._existing


def _by_parent(plan: Plan) -> dict[str, list[CampaignSpec]]:
    followers: dict[str, list[CampaignSpec]] = {}
    for spec in plan.follow_ups:
        followers.setdefault(spec.follows or "", []).append(spec)
    return followers


def plugin_paths(scenario: Scenario) -> list[Path]:
    """Files named under `plugins`; relative ones are relative to the scenario's file."""
    base = scenario.source_path.parent if scenario.source_path is not None else Path()
    return [base / path for path in scenario.plugins]


def check_fraud(scenario: Scenario) -> None:
    """Raise ScenarioError when a plugin does not load or a pattern's type does not exist."""
    resolve_tactics(scenario.fraud, build_registry(plugin_paths(scenario)))
