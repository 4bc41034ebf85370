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

from banksim.fraud.campaign import Campaign
from banksim.fraud.cast import Cast
from banksim.fraud.customs import Customs
from banksim.fraud.plan import Plan, Planner
from banksim.fraud.registry import Registry, build_registry
from banksim.fraud.run import CampaignRun
from banksim.fraud.shares import plan_shares
from banksim.fraud.spec import AttackWindow, CampaignSpec
from banksim.fraud.tactics import resolve_tactics
from banksim.fraud.windows import Calendar
from banksim.rate import PiecewiseRate
from banksim.world import World

if TYPE_CHECKING:
    from banksim.scenario import Scenario

logger = logging.getLogger(__name__)


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
