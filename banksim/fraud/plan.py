"""Which campaigns a run has: a pure function of (seed, scenario, offered rate, speed).

Budget.  λ is in transactions per wall second, so at speed v a simulated second holds λ/v of
them and a rate-driven pattern with share s(t) should make

    budget = ∫ λ(t)·s(t) / v dt      transactions,

cut into campaigns of about its typology's usual size × intensity, which start at moments
drawn in proportion to λ·s, so inside the attack window where one is given.  Sizes add up
to the budget (see `sizes`); whether a campaign succeeds does not change how many
transactions it makes.

Decoys are planned in the same way from their own share, attack windows or not.

A pattern with `count` makes exactly that many, speed or not.  With `duration_minutes` that
is one campaign; without, several of the usual size, spread over the first attack window,
its phase, or the whole run.

Followers start when their parent has ended, which nobody knows beforehand; the plan
reserves them, at most one per parent, with an estimated start.  Their count or budget is
shared over the parents.  Where a follower needs time before the end of the run, parents
are placed earlier; so they are before the end of the attack window when the follower's
transactions are a part of the window's share.  A follower whose parents never come about
makes nothing.

A change of speed.  Rate-driven campaigns that have not started are planned anew for the
rest of the run (`Planner.again`); what has started, and all counted patterns, stay.  Only
simulated moments decide what "has started", so every process that replays the same
changes of speed holds the same plan.

Bound: `MAX_CAMPAIGNS`; beyond it campaigns grow instead, and `Plan.enlarged` says whose.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from banksim.fraud.calendar import AttackWindow, Calendar, CampaignSpec
from banksim.fraud.patterns import Tactic
from banksim.fraud.shares import Shares
from banksim.schedule.rate import PiecewiseRate
from banksim.world.random import stream

# -- How many transactions a campaign makes, so that all of them together make the budget -----------
#
# A budget is an expectation, say 7.3 transactions; a campaign makes a whole number.  The
# fraction is settled by a coin, so that the mean over many seeds is the budget exactly; and a
# budget below the smallest sensible campaign becomes such a campaign with the probability
# that keeps the mean.


#: Campaign sizes vary this much around their mean, either way (judgement).
SPREAD = 0.5


def whole_number(budget: float, smallest: int, rng: random.Random) -> int:
    """A whole number with mean ``budget``: 0, or at least ``smallest``."""
    if budget < smallest:
        return smallest if rng.random() * smallest < budget else 0
    return math.floor(budget) + (rng.random() < budget % 1.0)


def split(total: int, mean: float, smallest: int, most: int, rng: random.Random) -> list[int]:
    """Campaign sizes that add up to ``total``: around ``mean``, none below ``smallest``.

    At most ``most`` of them: a larger total makes larger campaigns, never lost ones.  A
    total below ``smallest`` gives one campaign of that total.
    """
    if total <= 0:
        return []
    # Sizes are drawn down to (1 - SPREAD) of the mean, hence the bound on the number.
    mean = max(mean, smallest, total / max(1, most) / (1 - SPREAD))
    sizes: list[int] = []
    left = total
    while left > 0:
        size = max(smallest, math.ceil(mean * rng.uniform(1 - SPREAD, 1 + SPREAD)))
        if left - size < smallest:
            size = left
        sizes.append(size)
        left -= size
    return sizes


def even_parts(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole numbers that differ by at most one; zeros are left out."""
    each, rest = divmod(total, max(1, parts))
    return [size for size in (each + (index < rest) for index in range(parts)) if size > 0]


#: Campaigns of one run, followers not included (there is at most one per campaign and tactic).
MAX_CAMPAIGNS = 100_000
#: Draws of a start that leaves enough time before any such start will do.
START_DRAWS = 20
#: A campaign longer than its window starts within this first part of it.
EARLY_PART = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """``starts`` have a date, ``follow_ups`` wait for their parent; both in order of start.

    ``numbers`` is the last number used per tactic, so that ids are never used twice;
    ``enlarged`` the tactics whose campaigns had to grow at the bound.
    """

    starts: tuple[CampaignSpec, ...] = ()
    follow_ups: tuple[CampaignSpec, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    enlarged: frozenset[str] = frozenset()


class Planner:
    """Plans one scenario's campaigns.  Holds no state: every method is a pure function."""

    def __init__(
        self, seed: int, tactics: Sequence[Tactic], calendar: Calendar, shares: Shares, offered: PiecewiseRate
    ) -> None:
        self._seed = seed
        self._tactics = {tactic.key: tactic for tactic in tactics}
        self._calendar = calendar
        self._offered = offered
        self._rates = {key: offered.times(share) for key, share in shares.by_pattern.items()}
        self._most = max(1, MAX_CAMPAIGNS // max(1, len(tactics)))

    def first(self, speed: float) -> Plan:
        """The plan of a run at ``speed`` from its start."""
        return self._extend(Plan(), 0.0, speed, tuple(self._tactics))

    def again(self, plan: Plan, from_s: float, speed: float) -> Plan:
        """``plan`` after a change to ``speed`` at ``from_s``: started and counted campaigns stay."""
        starts = [s for s in plan.starts if s.exact or s.start_s < from_s]
        begun = {s.campaign_id for s in starts if s.start_s < from_s}
        stays = {s.campaign_id for s in starts}
        follow_ups = []
        for spec in plan.follow_ups:  # parents come before their followers
            if spec.follows in begun or (spec.exact and spec.follows in stays):
                follow_ups.append(spec)
                stays.add(spec.campaign_id)
                if spec.follows in begun:
                    begun.add(spec.campaign_id)
        kept = replace(plan, starts=tuple(starts), follow_ups=tuple(follow_ups))
        return self._extend(kept, from_s, speed, tuple(k for k, t in self._tactics.items() if self._open(t)))

    def follow_deadline(self, tactic: Tactic, start_s: float, size: int) -> float:
        """The latest moment of a follower that starts at ``start_s``."""
        run_end_s = self._calendar.duration_s
        if tactic.duration_s is not None:
            return min(run_end_s, start_s + tactic.duration_s)
        window = self._calendar.phases[tactic.phase] if tactic.phase else None
        if window is None and tactic.count is None:
            window = self._attack_at(tactic, start_s)
        window_end_s = window.end_s if window is not None else run_end_s
        return min(run_end_s, max(window_end_s, start_s + tactic.natural_s(size)))

    def _open(self, tactic: Tactic) -> bool:
        """Whether a change of speed can change this tactic's campaigns."""
        if tactic.count is None:
            return True
        return tactic.parent is not None and self._open(self._tactics[tactic.parent])

    def _extend(self, plan: Plan, from_s: float, speed: float, keys: Iterable[str]) -> Plan:
        for key in keys:
            tactic = self._tactics[key]
            rng = stream(self._seed, "fraud plan", key, f"{from_s:.6f}", f"{speed:.6g}")
            plan = (
                self._add_followers(plan, tactic, from_s, speed, rng)
                if tactic.parent is not None
                else self._add_starts(plan, tactic, from_s, speed, rng)
            )
        starts = tuple(sorted(plan.starts, key=lambda s: (s.start_s, s.campaign_id)))
        return replace(plan, starts=starts)

    # -- campaigns that start by the clock ------------------------------------------------

    def _add_starts(
        self, plan: Plan, tactic: Tactic, from_s: float, speed: float, rng: random.Random
    ) -> Plan:
        sizes = self._sizes(tactic, self._total(tactic, plan, from_s, speed, rng), rng)
        placed = sorted((*self._placed(tactic, size, from_s, rng), size) for size in sizes)
        number = plan.numbers.get(tactic.key, 0)
        specs = [
            self._spec(tactic, number + nth, start_s, deadline_s, size)
            for nth, (start_s, deadline_s, size) in enumerate(placed, start=1)
        ]
        return replace(
            plan,
            starts=(*plan.starts, *specs),
            numbers={**plan.numbers, tactic.key: number + len(specs)},
            enlarged=self._enlarged(plan, tactic, sizes),
        )

    def _total(self, tactic: Tactic, plan: Plan, from_s: float, speed: float, rng: random.Random) -> int:
        """Transactions still to be planned for a tactic."""
        if tactic.count is not None:
            made = sum(s.size for s in (*plan.starts, *plan.follow_ups) if s.pattern == tactic.key)
            return max(0, tactic.count - made)
        rate = self._rates.get(tactic.key)
        budget = rate.integral(from_s, rate.duration_s) / speed if rate is not None else 0.0
        return whole_number(budget, tactic.typology.min_size, rng)

    def _sizes(self, tactic: Tactic, total: int, rng: random.Random) -> list[int]:
        if total and tactic.count is not None and tactic.duration_s is not None:
            return [total]
        return split(total, tactic.mean_size, tactic.typology.min_size, self._most, rng)

    def _enlarged(self, plan: Plan, tactic: Tactic, sizes: Sequence[int]) -> frozenset[str]:
        needed = sum(sizes) / tactic.mean_size
        return plan.enlarged | {tactic.key} if needed > self._most else plan.enlarged

    def _placed(self, tactic: Tactic, size: int, from_s: float, rng: random.Random) -> tuple[float, float]:
        """Start and deadline of one campaign, inside its window if it can be."""
        window = self._counted_window(tactic) if tactic.count is not None else None
        low_s, high_s = (window.start_s, window.end_s) if window else (from_s, self._calendar.duration_s)
        start_s = self._draw_start(tactic, low_s, high_s, rng)
        opens_s, closes_s = self._room(tactic, start_s, from_s)
        natural_s = tactic.natural_s(size)
        fits = closes_s - opens_s > natural_s
        latest_s = closes_s - natural_s if fits else opens_s + EARLY_PART * (closes_s - opens_s)
        if start_s > latest_s:
            # Drawn again from the same room only: another would take over its share.
            here = self._attack_at(tactic, start_s)
            for _ in range(START_DRAWS):
                start_s = self._draw_start(tactic, opens_s, latest_s, rng)
                if tactic.count is not None or self._attack_at(tactic, start_s) == here:
                    break
        if tactic.duration_s is None:
            return start_s, closes_s
        return start_s, min(closes_s, start_s + tactic.duration_s)

    def _draw_start(self, tactic: Tactic, low_s: float, high_s: float, rng: random.Random) -> float:
        """A moment drawn in proportion to λ (counted) or λ × share (rate-driven)."""
        rate = self._offered if tactic.count is not None else self._rates[tactic.key]
        area = rate.integral(low_s, high_s) * rng.random()
        moment_s = rate.moment_after(low_s, area) if area > 0 else rng.uniform(low_s, high_s)
        return low_s if moment_s is None else min(high_s, moment_s)

    def _counted_window(self, tactic: Tactic) -> AttackWindow:
        if tactic.phase is not None:
            return self._calendar.phases[tactic.phase]
        if self._calendar.attacks:
            return self._calendar.attacks[0]
        return AttackWindow("run", 0.0, self._calendar.duration_s)

    def _attack_at(self, tactic: Tactic, moment_s: float) -> AttackWindow | None:
        """The attack window that holds ``moment_s``; decoys know no such windows."""
        return None if tactic.typology.is_decoy else self._calendar.attack_at(moment_s)

    def _room(self, tactic: Tactic, moment_s: float, from_s: float) -> tuple[float, float]:
        """The span around ``moment_s`` that a campaign should keep to."""
        run_end_s = self._calendar.duration_s
        if tactic.phase is not None:
            window: AttackWindow | None = self._calendar.phases[tactic.phase]
        elif tactic.count is not None:
            window = self._counted_window(tactic)
        else:
            window = self._attack_at(tactic, moment_s)
        if window is None:
            window = AttackWindow("run", 0.0, run_end_s)
        opens_s = window.start_s if tactic.count is not None else max(from_s, window.start_s)
        closes_s = min(window.end_s, run_end_s - self._tail_s(tactic))
        if tactic.count is None:
            closes_s = min(closes_s, window.end_s - self._tail_s(tactic, within_share=True))
        return opens_s, closes_s if closes_s > opens_s else window.end_s

    def _tail_s(self, tactic: Tactic, within_share: bool = False) -> float:
        """Simulated seconds that the tactic's followers (those without a count only) want after it."""
        children = (
            child
            for child in self._tactics.values()
            if child.parent == tactic.key and not (within_share and (child.count or child.phase))
        )
        tails = (
            c.delay_s + c.natural_s(round(c.mean_size)) + self._tail_s(c, within_share) for c in children
        )
        return max(tails, default=0.0)

    # -- campaigns that start when another has ended --------------------------------------

    def _add_followers(
        self, plan: Plan, tactic: Tactic, from_s: float, speed: float, rng: random.Random
    ) -> Plan:
        parents = self._free_parents(plan, tactic, from_s)
        sizes = self._sizes(tactic, self._total(tactic, plan, from_s, speed, rng), rng)
        if len(sizes) > len(parents):
            sizes = even_parts(sum(sizes), len(parents))
        chosen = sorted(rng.sample(range(len(parents)), len(sizes)))
        number = plan.numbers.get(tactic.key, 0)
        specs = []
        for nth, (index, size) in enumerate(zip(chosen, sizes, strict=True), start=1):
            parent = parents[index]
            start_s = self.follow_start(tactic, self._expected_end_s(parent))
            deadline_s = self.follow_deadline(tactic, start_s, size)
            specs.append(
                replace(
                    self._spec(tactic, number + nth, start_s, deadline_s, size), follows=parent.campaign_id
                )
            )
        return replace(
            plan,
            follow_ups=(*plan.follow_ups, *specs),
            numbers={**plan.numbers, tactic.key: number + len(specs)},
        )

    def follow_start(self, tactic: Tactic, parent_end_s: float) -> float:
        """When a follower starts whose parent ended at ``parent_end_s``; not before its phase."""
        opens_s = self._calendar.phases[tactic.phase].start_s if tactic.phase else 0.0
        return max(opens_s, parent_end_s + tactic.delay_s)

    def _free_parents(self, plan: Plan, tactic: Tactic, from_s: float) -> list[CampaignSpec]:
        """Campaigns that may still get a follower of this tactic, in order of start."""
        taken = {s.follows for s in plan.follow_ups if s.pattern == tactic.key}
        parents = [
            spec
            for spec in (*plan.starts, *plan.follow_ups)
            if spec.pattern == tactic.parent and spec.campaign_id not in taken and spec.start_s >= from_s
        ]
        parents.sort(key=lambda spec: (spec.start_s, spec.campaign_id))
        in_time = [p for p in parents if self._starts_in_time(tactic, p)]
        return in_time or parents

    def _starts_in_time(self, tactic: Tactic, parent: CampaignSpec) -> bool:
        return self.follow_start(tactic, self._expected_end_s(parent)) < self._calendar.duration_s

    def _expected_end_s(self, spec: CampaignSpec) -> float:
        return min(spec.deadline_s, spec.start_s + self._tactics[spec.pattern].natural_s(spec.size))

    def _spec(
        self, tactic: Tactic, number: int, start_s: float, deadline_s: float, size: int
    ) -> CampaignSpec:
        return CampaignSpec(
            campaign_id=f"{tactic.key}-{number}",
            typology=tactic.typology.name,
            pattern=tactic.key,
            start_s=start_s,
            deadline_s=deadline_s,
            size=size,
            intensity=tactic.pattern.intensity,
            sophistication=tactic.sophistication,
            label=f"{tactic.pattern.label} {number}",
            exact=tactic.count is not None,
            decoy=tactic.typology.is_decoy,
        )
