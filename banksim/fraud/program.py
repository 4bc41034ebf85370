"""The fraud program of a run: all its campaigns as planned, and each one as it is carried out.

Every process of a distributed run holds an equal program.  Its shares and plan are pure functions of
(seed, scenario, offered rate, changes of speed); a campaign is then opened by the one process it is
assigned to, and its followers start in that same process, which alone holds the list of customers
it compromised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from banksim.fraud.calendar import AttackWindow, Calendar, CampaignSpec
from banksim.fraud.campaign import Campaign, Stage
from banksim.fraud.patterns import build_registry, plan_shares, resolve_patterns
from banksim.fraud.people import NormalBehaviour, VictimPool
from banksim.fraud.plan import Plan, Planner
from banksim.fraud.typology import Registry, Steps, Typology
from banksim.model import Label, Outcome, Planned
from banksim.scenario import Scenario
from banksim.schedule.clock import PiecewiseRate
from banksim.world import World

logger = logging.getLogger(__name__)

# -- A campaign being carried out, one step at a time -----------------------------------------------
#
#     first() ──► Planned ──► (sent, answered) ──► advance(outcome) ──► Planned … ──► None
#
# Promises, whatever a typology does and whatever is answered:
#
# * exactly `spec.size` transactions, besides genuine ones that an account holder makes in between.
#   A typology that ends early (its victim is drained, the card is dead) is started again with the
#   next victim.  Three starts in a row without a step end the campaign short; so does a
#   typology that raises, which is logged and kept in `fault`.
# * none at all when the campaign acts on compromised customers alone and there are none.
# * simulated moments never decrease, and never pass the deadline.
#
# Answers may come late: moments are drawn from the campaign's stream, not from a clock.


#: Starts of a typology in a row that may yield nothing.
MAX_EMPTY_STARTS = 3


class CampaignRun:
    """Drives one typology.  ``approved`` counts approved steps, ``restarts`` new victims."""

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
        """The first transaction; None if there is nothing to do.  Call once."""
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
        except Exception as error:  # a plugin may raise anything; the run continues without it
            self.fault = f"{type(error).__name__}: {error}"
            logger.exception("Campaign %s ends: its typology failed", self.spec.campaign_id)
            return self._end()
        if planned is None:
            return self._end()
        planned = self._in_order(planned)
        self.campaign.made += planned.truth.label is not Label.GENUINE
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
        """``planned``, moved to a moment that keeps the promises; built-in typologies always do."""
        earliest_s = self.spec.start_s if self._last is None else self._last.sim_s
        moment_s = max(earliest_s, min(planned.sim_s, self.spec.deadline_s))
        if moment_s == planned.sim_s:
            return planned
        timestamp_s = self.campaign.world.timestamp_s(moment_s)
        return replace(
            planned, sim_s=moment_s, transaction=replace(planned.transaction, timestamp_s=timestamp_s)
        )

    def _end(self) -> Planned | None:
        """End the campaign.  Returns None, so that callers can return it."""
        self._done = True
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        return None


def _checked(step: object) -> Planned:
    if not isinstance(step, Planned):
        raise TypeError(f"a typology must yield what campaign.purchase(…) and the like return, not {step!r}")
    return step


class FraudProgram:
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
        patterns = resolve_patterns(scenario.fraud, self.registry)
        self._patterns = {pattern.key: pattern for pattern in patterns}
        self._shares = plan_shares(patterns, self._calendar, scenario.fraud, offered)
        by_chance = scenario.fraud.counts == "poisson"
        self._planner = Planner(seed, patterns, self._calendar, self._shares, offered, by_chance)
        self._pool = VictimPool(seed, world.population)
        self._inherited: dict[str, tuple[int, ...]] = {}
        self._plan = self._planner.first(speed)
        self._followers = _by_parent(self._plan)
        self._specs: tuple[CampaignSpec, ...] | None = None
        self._replanning: Iterator[None] = iter(())
        joined_before = None if scenario.onboarding is None else scenario.onboarding.existing_share
        self._existing = round(world.population.size * (1.0 if joined_before is None else joined_before))

    @cached_property
    def _stage(self) -> Stage:
        # Takes a while to build, and a program that only plans never needs it.
        return Stage(self._world, self._pool, NormalBehaviour.of(self._world))

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
        """The share of λ that fraud and decoys leave to genuine customers."""
        return self._shares.genuine

    @property
    def planned(self) -> tuple[CampaignSpec, ...]:
        """Campaigns, decoys included, with a start of their own, in order of start."""
        return self._plan.starts

    @property
    def follow_ups(self) -> tuple[CampaignSpec, ...]:
        """Campaigns that wait for the end of another; their starts are estimates."""
        return self._plan.follow_ups

    @property
    def specs(self) -> tuple[CampaignSpec, ...]:
        """All of them by (estimated) start, for a timeline; sorted once per plan."""
        if self._specs is None:
            every = (*self._plan.starts, *self._plan.follow_ups)
            self._specs = tuple(sorted(every, key=lambda spec: spec.start_s))
        return self._specs

    @property
    def windows(self) -> list[AttackWindow]:
        """Attack windows and phases, for drawing."""
        return self._calendar.windows

    def phase_of(self, spec: CampaignSpec) -> str | None:
        """Name of the phase whose pattern the campaign carries out; None outside of phases."""
        pattern = self._patterns.get(spec.pattern)
        return pattern.phase if pattern is not None else None

    @property
    def enlarged(self) -> frozenset[str]:
        """Patterns whose campaigns had to grow because a run has at most `plan.MAX_CAMPAIGNS`."""
        return self._plan.enlarged

    def replan(self, from_s: float, speed: float) -> list[CampaignSpec]:
        """Plan the rate-driven campaigns from ``from_s`` (simulated) on again, for ``speed``.

        Returns those that replace every planned campaign with `rate_driven` that starts at or after
        ``from_s``.  All processes must apply the same changes of speed in the same order.

        With many campaigns this takes a few hundred milliseconds; see `replanning`.
        """
        for _ in self.replanning(from_s, speed):
            pass
        return self.rate_driven_from(from_s)

    def replanning(self, from_s: float, speed: float) -> Iterator[None]:
        """`replan` in slices of a few milliseconds, for a caller that does other work in between.

        The new plan is in force when the iterator is exhausted; until then the old one is.  Changes
        are planned in the order in which they were asked for, whichever iterator is advanced.
        """
        self._replanning = self._in_slices(self._replanning, from_s, speed)
        return self._replanning

    def _in_slices(self, earlier: Iterator[None], from_s: float, speed: float) -> Iterator[None]:
        yield from earlier
        plan = yield from self._planner.again(self._plan, from_s, speed)
        yield
        followers = _by_parent(plan)
        yield
        self._plan, self._followers, self._specs = plan, followers, None

    def rate_driven_from(self, from_s: float) -> list[CampaignSpec]:
        """The planned rate-driven campaigns that start at ``from_s`` or later, in order of start."""
        return [spec for spec in self._plan.from_moment(from_s) if spec.rate_driven]

    def open(self, spec: CampaignSpec, onboarded: Callable[[int], bool] | None = None) -> CampaignRun:
        """The campaign, ready for `first`.

        ``onboarded(index)``: whether that customer has joined; by default those who joined before
        the run.
        """
        pattern = self._patterns[spec.pattern]
        campaign = Campaign(
            spec,
            pattern.options,
            pattern.typology,
            self._stage,
            self._inherited.pop(spec.campaign_id, ()),
            onboarded or self._joined_before,
        )
        return CampaignRun(spec, pattern.typology, campaign)

    def finished(self, run: CampaignRun, at_s: float) -> list[CampaignSpec]:
        """The followers of an ended campaign, now with their start; they inherit its compromised customers.

        A follower starts its delay after the *simulated* moment of the campaign's last step;
        ``at_s``, when the end was noticed, is only logged.  Call once per campaign.
        """
        compromised = tuple(run.campaign.loot)
        logger.debug(
            "Campaign %s made %d of %d, %d customers compromised (%d over the limit);"
            " noticed %.1f simulated seconds later",
            run.spec.campaign_id,
            run.made,
            run.spec.size,
            len(compromised),
            run.campaign.loot.overflow,
            at_s - run.ended_s,
        )
        ready = []
        for spec in self._followers.get(run.spec.campaign_id, ()):
            pattern = self._patterns[spec.pattern]
            start_s = self._planner.follow_start(pattern, run.ended_s)
            if pattern.options.requires_successful and not compromised:
                self.starved += 1
            elif start_s >= self._duration_s:
                self.missed += 1
            else:
                deadline_s = self._planner.follow_deadline(pattern, start_s, spec.size)
                self._inherited[spec.campaign_id] = compromised
                ready.append(replace(spec, start_s=start_s, deadline_s=deadline_s))
        return ready

    def _joined_before(self, index: int) -> bool:
        return index < self._existing


def _by_parent(plan: Plan) -> dict[str, list[CampaignSpec]]:
    followers: dict[str, list[CampaignSpec]] = {}
    for spec in plan.follow_ups:
        followers.setdefault(spec.follows or "", []).append(spec)
    return followers


def plugin_paths(scenario: Scenario) -> list[Path]:
    """The files named under `plugins`; relative ones are relative to the scenario's file."""
    base = scenario.source_path.parent if scenario.source_path is not None else Path()
    return [base / path for path in scenario.plugins]


def check_fraud(scenario: Scenario) -> None:
    """Raise ScenarioError when a plugin does not load or a pattern's type does not exist."""
    resolve_patterns(scenario.fraud, build_registry(plugin_paths(scenario)))
