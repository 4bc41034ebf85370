"""Which campaigns a run has: a pure function of (seed, scenario, offered rate, speed).

Budget.  λ is in transactions per wall second, so at speed v a simulated second holds λ/v of
them and a rate-driven pattern with share s(t) should make

    budget = ∫ λ(t)·s(t) / v dt      transactions,

cut into campaigns of about its typology's usual size × intensity, which start at moments
drawn in proportion to λ·s, so inside the attack window where one is given.  Sizes add up
to the budget; whether a campaign succeeds does not change how many transactions it makes.

Decoys are planned in the same way from their own share, attack windows or not.

A pattern with `count` makes exactly that many, at any speed.  With `duration_minutes` that
is one campaign; without, several of the usual size, spread over the first attack window,
its phase, or the whole run.

Followers start when their parent has ended, which cannot be known beforehand; the plan
reserves them, at most one per parent, with an estimated start.  Their count or budget is
shared over the parents.  Where a follower needs time before the end of the run, parents
are placed earlier, and likewise before the end of the attack window when the follower's
transactions are a part of the window's share.  A follower without parents makes nothing.

A change of speed.  Rate-driven campaigns that have not started are planned again for the
rest of the run (`Planner.again`); what has started, and all counted patterns, stay.  Only
simulated moments decide what "has started", so every process that replays the same
changes of speed holds the same plan.

Planning is a generator that yields every `SLICE` campaigns (a few milliseconds of work), so that
a running process can do other things between; the plan is its return value.

Bound: `MAX_CAMPAIGNS`; beyond it campaigns grow instead, and `Plan.enlarged` names their patterns.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import TypeVar

from banksim.fraud.calendar import AttackWindow, Calendar, CampaignSpec
from banksim.fraud.patterns import ResolvedPattern, Shares
from banksim.schedule.clock import PiecewiseRate
from banksim.world.random import stream

Result = TypeVar("Result")
#: A computation in slices: it yields between them and returns its result.
Sliced = Generator[None, None, Result]

#: Bound: campaigns of one run, without followers (there is at most one per campaign and pattern).
MAX_CAMPAIGNS = 100_000
#: Campaigns planned between two yields.
SLICE = 200
#: Draws of a start that leaves enough time before any such start will do.
START_DRAWS = 20
#: A campaign longer than its window starts within this first part of it.
EARLY_PART = 0.25
#: Campaign sizes vary this much around their mean, either way (judgement).
SPREAD = 0.5

_by_start = attrgetter("start_s")


# -- How many transactions a campaign makes, so that all of them together make the budget -----------
#
# A budget is an expectation, say 7.3 transactions; a campaign makes a whole number.  The
# fraction is settled by a coin, so that the mean over many seeds is the budget exactly; and a
# budget below the smallest sensible campaign becomes such a campaign with the probability
# that keeps the mean.


def whole_number(budget: float, smallest: int, rng: random.Random) -> int:
    """A whole number with mean ``budget``: 0, or at least ``smallest``."""
    if budget < smallest:
        return smallest if rng.random() * smallest < budget else 0
    return math.floor(budget) + (rng.random() < budget % 1.0)


#: Above this mean a Poisson number is drawn from the normal distribution, which is then within 1 % of it.
NORMAL_FROM = 200.0


def poisson(mean: float, rng: random.Random) -> int:
    """A Poisson number: arrivals of a unit rate within ``mean``."""
    if mean >= NORMAL_FROM:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    number, moment = 0, rng.expovariate(1.0)
    while moment < mean:
        number += 1
        moment += rng.expovariate(1.0)
    return number


def split(total: int, mean: float, smallest: int, most: int, rng: random.Random) -> Iterator[int]:
    """Campaign sizes that add up to ``total``: around ``mean``, none below ``smallest``.

    At most ``most`` of them: a larger total makes larger campaigns, never lost ones.  A
    total below ``smallest`` gives one campaign of that total.
    """
    # Sizes are drawn down to (1 - SPREAD) of the mean, hence the bound on the number.
    mean = max(mean, smallest, total / max(1, most) / (1 - SPREAD))
    left = total
    while left > 0:
        size = max(smallest, math.ceil(mean * rng.uniform(1 - SPREAD, 1 + SPREAD)))
        if left - size < smallest:
            size = left
        yield size
        left -= size


def even_parts(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole numbers that differ by at most one; zeros are left out."""
    each, rest = divmod(total, max(1, parts))
    return [size for size in (each + (index < rest) for index in range(parts)) if size > 0]


@dataclass(frozen=True, slots=True)
class Plan:
    """``starts`` have a date and are in order of start; ``follow_ups`` wait for their parent.

    ``numbers`` is the last number used per pattern, so that ids are never used twice;
    ``enlarged`` the patterns whose campaigns had to grow at the bound.
    """

    starts: tuple[CampaignSpec, ...] = ()
    follow_ups: tuple[CampaignSpec, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    enlarged: frozenset[str] = frozenset()

    def from_moment(self, moment_s: float) -> tuple[CampaignSpec, ...]:
        """The campaigns that start at ``moment_s`` or later, without followers."""
        return self.starts[bisect_left(self.starts, moment_s, key=_by_start) :]


class Planner:
    """Plans one scenario's campaigns.  Holds no state: every method is a pure function."""

    def __init__(
        self,
        seed: int,
        patterns: Sequence[ResolvedPattern],
        calendar: Calendar,
        shares: Shares,
        offered: PiecewiseRate,
        by_chance: bool = False,
    ) -> None:
        """``by_chance``: the number of campaigns that the rate asks for is Poisson's, not the one planned."""
        self._seed = seed
        self._by_chance = by_chance
        self._patterns = {pattern.key: pattern for pattern in patterns}
        self._calendar = calendar
        self._whole_run = AttackWindow("run", 0.0, calendar.duration_s)
        self._offered = offered
        self._rates = {key: offered.times(share) for key, share in shares.by_pattern.items()}
        self._most = max(1, MAX_CAMPAIGNS // max(1, len(patterns)))
        #: Simulated seconds that followers want after each pattern; all, and those within its share.
        self._tails_s = {p.key: (self._tail_s(p), self._tail_s(p, within_share=True)) for p in patterns}

    def first(self, speed: float) -> Plan:
        """The plan of a run at ``speed`` from its start."""
        return finish(self._extend(Plan(), 0.0, speed, tuple(self._patterns)))

    def again(self, plan: Plan, from_s: float, speed: float) -> Sliced[Plan]:
        """``plan`` after a change to ``speed`` at ``from_s``: started and counted campaigns stay."""
        later = plan.from_moment(from_s)
        started = plan.starts[: len(plan.starts) - len(later)]
        starts = (*started, *(spec for spec in later if spec.exact))
        yield
        begun = {spec.campaign_id for spec in started}
        stays = begun | {spec.campaign_id for spec in starts[len(started) :]}
        follow_ups = []
        for nth, spec in enumerate(plan.follow_ups):  # parents come before their followers
            if nth % SLICE == 0:
                yield
            if spec.follows in begun or (spec.exact and spec.follows in stays):
                follow_ups.append(spec)
                stays.add(spec.campaign_id)
                if spec.follows in begun:
                    begun.add(spec.campaign_id)
        kept = replace(plan, starts=starts, follow_ups=tuple(follow_ups))
        changing = tuple(key for key, pattern in self._patterns.items() if self._is_open(pattern))
        return (yield from self._extend(kept, from_s, speed, changing))

    def follow_start(self, pattern: ResolvedPattern, parent_end_s: float) -> float:
        """When a follower starts whose parent ended at ``parent_end_s``; not before its phase."""
        opens_s = self._calendar.phases[pattern.phase].start_s if pattern.phase else 0.0
        return max(opens_s, parent_end_s + pattern.delay_s)

    def follow_deadline(self, pattern: ResolvedPattern, start_s: float, size: int) -> float:
        """The latest moment of a follower that starts at ``start_s``."""
        run_end_s = self._calendar.duration_s
        if pattern.duration_s is not None:
            return min(run_end_s, start_s + pattern.duration_s)
        window = self._calendar.phases[pattern.phase] if pattern.phase else None
        if window is None and pattern.count is None:
            window = self._attack_at(pattern, start_s)
        window_end_s = window.end_s if window is not None else run_end_s
        return min(run_end_s, max(window_end_s, start_s + pattern.natural_s(size)))

    def _is_open(self, pattern: ResolvedPattern) -> bool:
        """Whether a change of speed can change this pattern's campaigns."""
        if pattern.count is None:
            return True
        return pattern.parent is not None and self._is_open(self._patterns[pattern.parent])

    def _extend(self, plan: Plan, from_s: float, speed: float, keys: Iterable[str]) -> Sliced[Plan]:
        for key in keys:
            pattern = self._patterns[key]
            rng = stream(self._seed, "fraud plan", key, f"{from_s:.6f}", f"{speed:.6g}")
            if pattern.parent is not None:
                plan = yield from self._add_followers(plan, pattern, from_s, speed, rng)
            else:
                plan = yield from self._add_starts(plan, pattern, from_s, speed, rng)
        yield
        # Each pattern's starts are in order already, so this costs little more than a merge.
        return replace(plan, starts=tuple(sorted(plan.starts, key=_by_start)))

    # -- campaigns that start by the clock ------------------------------------------------

    def _add_starts(
        self, plan: Plan, pattern: ResolvedPattern, from_s: float, speed: float, rng: random.Random
    ) -> Sliced[Plan]:
        sizes = yield from self._sizes(pattern, self._total(pattern, plan, from_s, speed, rng), rng)
        placed: list[tuple[float, float, int]] = []
        for first in range(0, len(sizes), SLICE):
            part = [
                (*self._placed(pattern, size, from_s, rng), size) for size in sizes[first : first + SLICE]
            ]
            placed += sorted(part)
            yield
        placed.sort(key=itemgetter(0))  # of sorted parts, by a float: 2 ms for 44,000
        number = plan.numbers.get(pattern.key, 0)
        specs: list[CampaignSpec] = []
        for first in range(0, len(placed), SLICE):
            for start_s, deadline_s, size in placed[first : first + SLICE]:
                number += 1
                specs.append(_spec(pattern, number, start_s, deadline_s, size))
            yield
        grew = sum(sizes) / pattern.mean_size > self._most
        return replace(
            plan,
            starts=(*plan.starts, *specs),
            numbers={**plan.numbers, pattern.key: number},
            enlarged=plan.enlarged | {pattern.key} if grew else plan.enlarged,
        )

    def _total(
        self, pattern: ResolvedPattern, plan: Plan, from_s: float, speed: float, rng: random.Random
    ) -> int:
        """Transactions still to be planned for a pattern."""
        if pattern.count is not None:
            made = sum(s.size for s in (*plan.starts, *plan.follow_ups) if s.pattern == pattern.key)
            return max(0, pattern.count - made)
        rate = self._rates.get(pattern.key)
        budget = rate.integral(from_s, rate.duration_s) / speed if rate is not None else 0.0
        if self._by_chance:
            return round(poisson(budget / pattern.mean_size, rng) * pattern.mean_size)
        return whole_number(budget, pattern.typology.min_size, rng)

    def _sizes(self, pattern: ResolvedPattern, total: int, rng: random.Random) -> Sliced[list[int]]:
        if total and pattern.count is not None and pattern.duration_s is not None:
            return [total]
        sizes: list[int] = []
        for size in split(total, pattern.mean_size, pattern.typology.min_size, self._most, rng):
            sizes.append(size)
            if len(sizes) % (20 * SLICE) == 0:
                yield
        return sizes

    def _placed(
        self, pattern: ResolvedPattern, size: int, from_s: float, rng: random.Random
    ) -> tuple[float, float]:
        """Start and deadline of one campaign, inside its window if it can be."""
        window = self._whole_run if pattern.count is None else self._counted_window(pattern)
        low_s = from_s if pattern.count is None else window.start_s
        start_s = self._draw_start(pattern, low_s, window.end_s, rng)
        opens_s, closes_s = self._room(pattern, start_s, from_s)
        natural_s = pattern.natural_s(size)
        fits = closes_s - opens_s > natural_s
        latest_s = closes_s - natural_s if fits else opens_s + EARLY_PART * (closes_s - opens_s)
        if start_s > latest_s:
            # Drawn again from the same room only: another would take over its share.
            here = self._attack_at(pattern, start_s)
            for _ in range(START_DRAWS):
                start_s = self._draw_start(pattern, opens_s, latest_s, rng)
                if pattern.count is not None or self._attack_at(pattern, start_s) == here:
                    break
        if pattern.duration_s is None:
            return start_s, closes_s
        return start_s, min(closes_s, start_s + pattern.duration_s)

    def _draw_start(self, pattern: ResolvedPattern, low_s: float, high_s: float, rng: random.Random) -> float:
        """A moment drawn in proportion to λ (counted) or λ × share (rate-driven)."""
        rate = self._offered if pattern.count is not None else self._rates[pattern.key]
        area = rate.integral(low_s, high_s) * rng.random()
        moment_s = rate.moment_after(low_s, area) if area > 0 else rng.uniform(low_s, high_s)
        return low_s if moment_s is None else min(high_s, moment_s)

    def _counted_window(self, pattern: ResolvedPattern) -> AttackWindow:
        if pattern.phase is not None:
            return self._calendar.phases[pattern.phase]
        return self._calendar.attacks[0] if self._calendar.attacks else self._whole_run

    def _attack_at(self, pattern: ResolvedPattern, moment_s: float) -> AttackWindow | None:
        """The attack window that holds ``moment_s``; decoys ignore such windows."""
        return None if pattern.typology.is_decoy else self._calendar.attack_at(moment_s)

    def _room(self, pattern: ResolvedPattern, moment_s: float, from_s: float) -> tuple[float, float]:
        """The span around ``moment_s`` that a campaign should keep to."""
        tail_s, tail_in_share_s = self._tails_s[pattern.key]
        latest_s = self._calendar.duration_s - tail_s
        if pattern.count is not None:
            window = self._counted_window(pattern)
            opens_s, closes_s = window.start_s, min(window.end_s, latest_s)
        else:
            phase = None if pattern.phase is None else self._calendar.phases[pattern.phase]
            window = phase or self._attack_at(pattern, moment_s) or self._whole_run
            opens_s = max(from_s, window.start_s)
            closes_s = min(window.end_s, latest_s, window.end_s - tail_in_share_s)
        return opens_s, closes_s if closes_s > opens_s else window.end_s

    def _tail_s(self, pattern: ResolvedPattern, within_share: bool = False) -> float:
        """Simulated seconds that the pattern's followers (those without a count only) want after it."""
        children = (
            child
            for child in self._patterns.values()
            if child.parent == pattern.key and not (within_share and (child.count or child.phase))
        )
        tails = (
            c.delay_s + c.natural_s(round(c.mean_size)) + self._tail_s(c, within_share) for c in children
        )
        return max(tails, default=0.0)

    # -- campaigns that start when another has ended --------------------------------------

    def _add_followers(
        self, plan: Plan, pattern: ResolvedPattern, from_s: float, speed: float, rng: random.Random
    ) -> Sliced[Plan]:
        parents = yield from self._free_parents(plan, pattern, from_s)
        sizes = yield from self._sizes(pattern, self._total(pattern, plan, from_s, speed, rng), rng)
        if len(sizes) > len(parents):
            sizes = even_parts(sum(sizes), len(parents))
        everyone = range(len(parents))
        chosen = everyone if len(sizes) == len(parents) else sorted(rng.sample(everyone, len(sizes)))
        yield
        number = plan.numbers.get(pattern.key, 0)
        specs: list[CampaignSpec] = []
        for index, size in zip(chosen, sizes, strict=True):
            number += 1
            parent = parents[index]
            start_s = self.follow_start(pattern, self._expected_end_s(parent))
            deadline_s = self.follow_deadline(pattern, start_s, size)
            specs.append(_spec(pattern, number, start_s, deadline_s, size, parent.campaign_id))
            if number % SLICE == 0:
                yield
        return replace(
            plan,
            follow_ups=(*plan.follow_ups, *specs),
            numbers={**plan.numbers, pattern.key: number},
        )

    def _free_parents(
        self, plan: Plan, pattern: ResolvedPattern, from_s: float
    ) -> Sliced[list[CampaignSpec]]:
        """Campaigns that may still get a follower of this pattern, in order of start."""
        taken = {spec.follows for spec in plan.follow_ups if spec.pattern == pattern.key}
        yield
        parents = [
            spec
            for specs in (plan.starts, plan.follow_ups)
            for spec in specs
            if spec.pattern == pattern.parent and spec.start_s >= from_s and spec.campaign_id not in taken
        ]
        yield
        parents.sort(key=_by_start)
        in_time: list[CampaignSpec] = []
        for first in range(0, len(parents), SLICE):
            in_time += (p for p in parents[first : first + SLICE] if self._starts_in_time(pattern, p))
            yield
        return in_time or parents

    def _starts_in_time(self, pattern: ResolvedPattern, parent: CampaignSpec) -> bool:
        return self.follow_start(pattern, self._expected_end_s(parent)) < self._calendar.duration_s

    def _expected_end_s(self, spec: CampaignSpec) -> float:
        return min(spec.deadline_s, spec.start_s + self._patterns[spec.pattern].natural_s(spec.size))


def finish(work: Sliced[Result]) -> Result:
    """The result of ``work``, done in one go."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: Result = done.value
            return result


def _spec(
    pattern: ResolvedPattern,
    number: int,
    start_s: float,
    deadline_s: float,
    size: int,
    follows: str | None = None,
) -> CampaignSpec:
    return CampaignSpec(
        campaign_id=f"{pattern.key}-{number}",
        typology=pattern.typology.name,
        pattern=pattern.key,
        start_s=start_s,
        deadline_s=deadline_s,
        size=size,
        intensity=pattern.options.intensity,
        sophistication=pattern.sophistication,
        label=f"{pattern.options.label} {number}",
        exact=pattern.count is not None,
        decoy=pattern.typology.is_decoy,
        follows=follows,
    )
