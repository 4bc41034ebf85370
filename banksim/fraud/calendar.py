"""When fraud happens: the dates of campaigns, attack windows and phases, and a campaign's own clock.

    share
    rate  |        ┌────┐         ┌──────┐
          |        │    │         │phase │        attack_window: clock hours, every day
    base  |────────┘    └─────────┘      └────    phases: hours since the start of the run
          └────────┴────┴─────────┴──────┴────  simulated time

Who makes the share.  A pattern without `count` is *rate-driven*: it acts at level `rate`
inside the attack window (everywhere, if none is given) and at `baseline_rate` outside; in
a phase, at `rate` during the phase and not at all elsewhere.  The share at a moment is the
highest level of the patterns acting then, and `shares` splits it among them.

Patterns with `count` come on top of the offered rate and take nothing from the share.  A
scenario whose every pattern has a count therefore has a share of 0: it gets exactly the
counted fraud.  Followers without `count` hold their share at all times although they act
only after their parents, which may be at a different hour.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from banksim.scenario import FraudSettings

# -- A campaign as planned: a plain, picklable value ------------------------------------------------
#
# A spec holds when an attack happens, how large it is and how long it takes, but no victims: the
# campaign draws those itself from its own stream.  Two processes that plan the same
# scenario with the same seed hold equal specs, so a campaign can be handed to a worker by
# its id alone.


@dataclass(frozen=True, slots=True)
class CampaignSpec:
    """One campaign.  Moments are simulated seconds since the start of the run.

    ``pattern`` is the key of the scenario's pattern it carries out, ``size`` the number of
    transactions it makes, ``exact`` whether that number comes from ``count`` (extra load) or
    is a part of the fraud share; ``decoy`` whether it is genuine behaviour.  ``follows`` is
    the id of the campaign whose end starts this one: until that has ended ``start_s`` is an
    estimate.  ``campaign_id`` and ``label`` are for displays and reports; neither goes on the wire.
    """

    campaign_id: str
    typology: str
    pattern: str
    start_s: float
    deadline_s: float
    size: int
    intensity: float
    sophistication: float
    label: str
    exact: bool = False
    decoy: bool = False
    follows: str | None = None

    @property
    def rate_driven(self) -> bool:
        """Whether a change of speed plans this campaign again, as long as it has not started.

        A follow-up is not planned again once its parent has started.
        """
        return not self.exact and self.follows is None


@dataclass(frozen=True, slots=True)
class AttackWindow:
    """A span of concentrated attack, for timelines; simulated seconds since the start of the run."""

    label: str
    start_s: float
    end_s: float


SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86400.0


def clock_windows(
    hours: tuple[int, int], start_at: datetime, duration_s: float, label: str = "attack window"
) -> list[AttackWindow]:
    """Every occurrence of clock hours [start, end) within the run, cut at its ends.

    ``end`` at or before ``start`` means the next day; (0, 24) is the whole day.
    """
    start_hour, end_hour = hours
    length_s = ((end_hour - start_hour - 1) % 24 + 1) * SECONDS_PER_HOUR
    midnight = start_at.replace(hour=0, minute=0, second=0, microsecond=0)
    # One day early: a window that began yesterday may reach into the run.
    opens_s = start_hour * SECONDS_PER_HOUR - (start_at - midnight).total_seconds() - SECONDS_PER_DAY
    windows: list[AttackWindow] = []
    while opens_s < duration_s:
        cut = AttackWindow(label, max(0.0, opens_s), min(duration_s, opens_s + length_s))
        if cut.end_s > cut.start_s:
            if windows and windows[-1].end_s >= cut.start_s:
                windows[-1] = AttackWindow(label, windows[-1].start_s, cut.end_s)
            else:
                windows.append(cut)
        opens_s += SECONDS_PER_DAY
    return windows


@dataclass(frozen=True, slots=True)
class Calendar:
    """The spans of one scenario.  ``attacks`` is empty when no attack window was given.

    ``start_clock_s``: seconds from midnight to the start of the run.
    """

    duration_s: float
    attacks: tuple[AttackWindow, ...] = ()
    phases: dict[str, AttackWindow] = field(default_factory=dict)
    start_clock_s: float = 0.0

    @classmethod
    def of(cls, settings: FraudSettings, start_at: datetime, duration_s: float) -> Calendar:
        attacks = (
            clock_windows(settings.attack_window, start_at, duration_s) if settings.attack_window else []
        )
        phases = {}
        for phase in settings.phases:
            start_s = min(duration_s, phase.start_hour * SECONDS_PER_HOUR)
            end_s = min(duration_s, start_s + phase.duration_hours * SECONDS_PER_HOUR)
            phases[phase.name] = AttackWindow(phase.name, start_s, end_s)
        midnight = start_at.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(duration_s, tuple(attacks), phases, (start_at - midnight).total_seconds())

    @property
    def windows(self) -> list[AttackWindow]:
        """Attack windows and phases in order of time, for drawing."""
        return sorted((*self.attacks, *self.phases.values()), key=lambda w: (w.start_s, w.end_s))

    def spans(self) -> Iterator[tuple[float, float]]:
        """The run, cut at the edges of attack windows and phases."""
        edges = {0.0, self.duration_s, *(edge for one in self.windows for edge in (one.start_s, one.end_s))}
        return pairwise(sorted(edges))

    def attack_at(self, moment_s: float) -> AttackWindow | None:
        """The attack window that holds ``moment_s``."""
        index = bisect_right(self.attacks, moment_s, key=lambda window: window.start_s) - 1
        if index >= 0 and moment_s < self.attacks[index].end_s:
            return self.attacks[index]
        return None

    def level_at(self, moment_s: float, phase: str | None, settings: FraudSettings) -> float:
        """The share a rate-driven pattern (of ``phase``, or of the whole run) acts at."""
        if phase is not None:
            window = self.phases[phase]
            return settings.rate if window.start_s <= moment_s < window.end_s else 0.0
        if settings.attack_window is None or self.attack_at(moment_s) is not None:
            return settings.rate
        return settings.outside_rate


# -- A campaign's own clock: when its next step happens, in simulated seconds -----------------------
#
# Steps come at the typology's natural tempo × intensity as long as there is time.  When the
# remaining steps would not fit before the deadline, they are squeezed, never dropped: with
# k mean gaps still wanted in a remaining time T, the next gap is
#
#     T · (1 − U^(1/k))      U uniform in (0, 1)
#
# which is the spacing of k uniform moments in T.  It is never longer than T, so the deadline
# holds for every draw, and the steps stay evenly spread instead of piling up at the end.
#
# Sophistication changes the rhythm: at 0 a script's near-constant gaps, at 1 longer,
# exponential ones, as people have.  What falls into the night then waits for the day, as often
# as the sophistication says (always, where it is the victims who pay), if the deadline allows.
# Nothing here reads the wall clock.


#: A script's gaps vary this much around their mean (judgement).
SCRIPT_JITTER = 0.3
#: A careful fraudster takes up to this much longer than a script (judgement).
CAREFUL_FACTOR = 2.0
#: People sleep before the first of these hours; what waits for the day comes between the others, mostly
#: about the last (2.7 % of genuine transfers are before six).
WAKES_H, DAY_H = 6.0, (7.0, 21.0, 14.0)


class Pace:
    """The cursor of simulated time of one campaign.  ``mean_gap_s`` is the typology's usual gap."""

    def __init__(
        self,
        rng: random.Random,
        start_s: float,
        deadline_s: float,
        mean_gap_s: float,
        intensity: float,
        sophistication: float,
        awake: float = 0.0,
        midnight_s: float = 0.0,
    ) -> None:
        """``awake``: how often a step waits for the day; ``midnight_s``: a moment at which a day begins."""
        self._rng = rng
        self._awake, self._midnight_s = awake, midnight_s
        self.now_s = start_s
        self.deadline_s = max(start_s, deadline_s)
        self._usual_gap_s = mean_gap_s / intensity
        self._intensity = intensity
        self._sophistication = sophistication
        self._fresh = True

    def next_moment(self, steps_left: int, mean_gap_s: float | None = None) -> float:
        """Move to the next step and return its moment.

        ``steps_left`` counts this step and those after it.  ``mean_gap_s`` is a gap
        at intensity 1; the typology's usual one when not given.  The first step of a campaign is
        at its start.
        """
        if self._fresh:
            self._fresh = False
            return self._by_day()
        mean_s = self._usual_gap_s if mean_gap_s is None else mean_gap_s / self._intensity
        return self._advance(mean_s, mean_s + max(0, steps_left - 1) * self._usual_gap_s)

    def within(self, until_s: float, steps: int, steps_left: int) -> float:
        """Move to the next of ``steps`` steps that are spread evenly up to ``until_s``, and return it.

        They get no more than their part of the time to the deadline, of ``steps_left`` in all.
        """
        if self._fresh:
            self._fresh = False
            return self.now_s
        fair_s = (self.deadline_s - self.now_s) * min(1.0, steps / max(1, steps_left))
        room_s = max(0.0, min(until_s - self.now_s, fair_s))
        self.now_s += room_s * (1.0 - (1.0 - self._rng.random()) ** (1.0 / max(1, steps)))
        return self.now_s

    def skip_to(self, moment_s: float) -> None:
        """Let time pass up to ``moment_s``, at most to the deadline; the next step is not before it."""
        self.now_s = max(self.now_s, min(moment_s, self.deadline_s))

    def _advance(self, mean_s: float, wanted_s: float) -> float:
        left_s = self.deadline_s - self.now_s
        careful = 1.0 + CAREFUL_FACTOR * self._sophistication
        if wanted_s * careful <= left_s:
            gap_s = min(self._gap(mean_s) * careful, left_s / 2)
        elif wanted_s <= left_s:
            gap_s = min(self._gap(mean_s), left_s / 2)
        elif wanted_s > 0 and left_s > 0:
            gap_s = left_s * (1.0 - (1.0 - self._rng.random()) ** (mean_s / wanted_s))
        else:
            gap_s = 0.0
        self.now_s += gap_s
        return self._by_day()

    def _by_day(self) -> float:
        """The moment; one at night may become one of the day that follows."""
        hour = (self.now_s - self._midnight_s) % 86_400 / 3600
        if hour < WAKES_H and self._rng.random() < self._awake:
            later_s = self.now_s + 3600 * (self._rng.triangular(*DAY_H) - hour)
            if later_s < self.deadline_s:
                self.now_s = later_s
        return self.now_s

    def _gap(self, mean_s: float) -> float:
        script = self._rng.uniform(1 - SCRIPT_JITTER, 1 + SCRIPT_JITTER)
        human = self._rng.expovariate(1.0)
        return mean_s * ((1 - self._sophistication) * script + self._sophistication * human)
