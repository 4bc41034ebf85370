"""A campaign's own clock: when its next step happens, in simulated seconds.

Steps come at the typology's natural tempo × intensity as long as there is time.  When what
is left to do would not fit before the deadline, the steps are squeezed, never dropped: with
k mean gaps still wanted in a remaining time T, the next gap is

    T · (1 − U^(1/k))      U uniform in (0, 1)

which is the spacing of k uniform moments in T.  It is never longer than T, so the deadline
holds whatever is drawn, and the steps stay evenly spread instead of piling up at the end.

Sophistication changes the rhythm: at 0 a script's near-constant gaps, at 1 longer,
exponential ones, as people have.  Nothing here reads the wall clock.
"""

from __future__ import annotations

import random

#: A script's gaps vary this much around their mean (judgement).
SCRIPT_JITTER = 0.3
#: A careful fraudster takes up to this much longer than a script (judgement).
CAREFUL_FACTOR = 2.0


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
    ) -> None:
        self._rng = rng
        self.now_s = start_s
        self.deadline_s = max(start_s, deadline_s)
        self._usual_gap_s = mean_gap_s / intensity
        self._intensity = intensity
        self._sophistication = sophistication
        self._fresh = True

    def next_moment(self, steps_left: int, mean_gap_s: float | None = None) -> float:
        """Move to the next step and return its moment.

        ``steps_left`` counts the step asked for and those after it.  ``mean_gap_s`` is a gap
        at intensity 1; the typology's usual one when not given.  The first step of a campaign is
        at its start.
        """
        if self._fresh:
            self._fresh = False
            return self.now_s
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
        return self.now_s

    def _gap(self, mean_s: float) -> float:
        script = self._rng.uniform(1 - SCRIPT_JITTER, 1 + SCRIPT_JITTER)
        human = self._rng.expovariate(1.0)
        return mean_s * ((1 - self._sophistication) * script + self._sophistication * human)
