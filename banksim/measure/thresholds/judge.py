"""Thresholds of a run: watched about once a second while it goes on, judged at its end.

    recall >= 90%             judged at the end, on the whole run
    errors < 5% for 30s       fails once it was breached for 30 wall seconds without interruption
    errors < 20% abort        as above at the end, and ends the run the moment it is breached
    errors < 20% for 5s abort ends the run once it was breached for 5 wall seconds

Every judgement is on the figures of the run so far, so that the last one is what
results.json says.  Decided here:

- A figure that cannot be made (no fraud was sent, no call was made) fails its threshold at
  the end: a gate that measured nothing is not passed.  While the run goes on it is waited for.
- A failure by `for` or `abort` stays one, even when the figure recovers.
- A threshold with `for` also fails at the end when it did not hold once, however short the run.
- A pause stops the clock of `for`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from banksim.measure.results import ThresholdRow
from banksim.measure.scores import enough
from banksim.measure.thresholds.grammar import IN_WORDS, Threshold, parse_thresholds
from banksim.measure.thresholds.metrics import Bracket
from banksim.measure.thresholds.readings import Figures, Reading
from banksim.model import ScenarioError
from banksim.scenario import Scenario
from banksim.scenario.fraud import KNOWN_PATTERN_TYPES


def thresholds_of(scenario: Scenario, source: str = "") -> list[Threshold]:
    """The scenario's thresholds.

    With plugins any typology may be named, since a plugin's kinds are not known before it is
    loaded.  Raises ScenarioError with one line for each that is wrong, naming ``source`` if given.
    """
    try:
        return parse_thresholds(scenario.thresholds, None if scenario.plugins else KNOWN_PATTERN_TYPES)
    except ScenarioError as error:
        place = f" ({source})" if source else ""
        raise ScenarioError([problem + place for problem in error.problems]) from None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``value`` is in the metric's base unit, None without data; ``reason`` is in words."""

    threshold: Threshold
    value: float | None
    measured: str
    passed: bool
    reason: str

    def as_row(self) -> ThresholdRow:
        """As published in results.json."""
        threshold = self.threshold
        return ThresholdRow(
            expression=threshold.expression,
            metric=threshold.metric.name,
            value=self.value,
            measured=self.measured,
            bound=f"{IN_WORDS[threshold.comparison]} {threshold.bound_text}",
            passed=self.passed,
            reason=self.reason,
        )


@dataclass(slots=True)
class _Watch:
    """What has been seen of one threshold.  ``failed`` is set once and for all."""

    threshold: Threshold
    breached_s: float | None = None
    held_once: bool = False
    failed: Verdict | None = None

    def look(self, figures: Figures, elapsed_s: float) -> None:
        threshold = self.threshold
        reading = read(threshold, figures)
        if self.failed is not None or reading.value is None:
            return
        if threshold.holds(reading.value):
            self.held_once, self.breached_s = True, None
            return
        self.breached_s = 0.0 if self.breached_s is None else self.breached_s + elapsed_s
        if self.breached_s >= (threshold.for_s or 0.0):
            lasted = f" for {self.breached_s:.0f} s" if threshold.for_s else ""
            ended = "; that ended the run" if threshold.abort else ""
            reason = f"{_breach(threshold, reading)}{lasted}, {figures.wall_s:.0f} s into the run{ended}"
            self.failed = Verdict(threshold, reading.value, measured(threshold, reading), False, reason)

    def judge(self, figures: Figures) -> Verdict:
        if self.failed is not None:
            return self.failed
        threshold = self.threshold
        reading = read(threshold, figures)
        shown = measured(threshold, reading)
        if reading.value is None:
            return Verdict(threshold, None, shown, False, f"no data: {_why_none(threshold)}")
        if threshold.holds(reading.value):
            return Verdict(threshold, reading.value, shown, True, "")
        if threshold.for_s is None:
            return Verdict(threshold, reading.value, shown, False, _breach(threshold, reading))
        if not self.held_once:
            reason = f"{_breach(threshold, reading)}; it did not hold once"
            return Verdict(threshold, reading.value, shown, False, reason)
        reason = f"breached at the end, but for less than {threshold.for_s:g} s"
        return Verdict(threshold, reading.value, shown, True, reason)


class Judge:
    """All thresholds of one run."""

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self._watches = [_Watch(threshold) for threshold in thresholds]

    @property
    def live(self) -> bool:
        """Whether there is anything to watch while the run goes on."""
        return any(watch.threshold.live for watch in self._watches)

    def watch(self, figures: Figures, elapsed_s: float) -> Verdict | None:
        """Look at the live thresholds, ``elapsed_s`` wall seconds of running time after the last look.

        Returns the verdict that ends the run, if one does.
        """
        for watch in self._watches:
            if watch.threshold.live:
                watch.look(figures, elapsed_s)
        return next((w.failed for w in self._watches if w.failed and w.threshold.abort), None)

    def verdicts(self, figures: Figures) -> list[Verdict]:
        """The judgement at the end, in the order the thresholds were given."""
        return [watch.judge(figures) for watch in self._watches]


def standing(thresholds: Sequence[Threshold], figures: Figures) -> list[ThresholdRow]:
    """The thresholds by the figures so far; those without data, and counts still to grow, are left out."""
    rows = []
    for threshold in thresholds:
        reading = read(threshold, figures)
        if reading.value is None:
            continue
        holds = threshold.holds(reading.value)
        if not holds and threshold.metric.grows and not threshold.holds(0):
            continue
        reason = "" if holds else _breach(threshold, reading)
        shown = measured(threshold, reading)
        rows.append(Verdict(threshold, reading.value, shown, holds, reason).as_row())
    return rows


def read(threshold: Threshold, figures: Figures) -> Reading:
    """The threshold's figure."""
    return threshold.metric.read(figures, threshold.label, threshold.statistic)


def measured(threshold: Threshold, reading: Reading) -> str:
    """The figure as bounds are written; with its interval where it rests on few transactions."""
    if reading.value is None:
        return "n/a"
    unit = threshold.metric.unit
    text = unit.show(reading.value, threshold.bound)
    if reading.trials is None or enough(reading.trials):
        return text
    ends = ""
    if reading.low is not None and reading.high is not None:
        low, high = (unit.show(end) for end in (reading.low, reading.high))
        ends = f"95% interval {low} to {high}, "
    return f"{text} ({ends}n = {reading.trials})"


def _breach(threshold: Threshold, reading: Reading) -> str:
    expected = f"{IN_WORDS[threshold.comparison]} {threshold.bound_text}"
    return f"measured {measured(threshold, reading)}, expected {expected}"


def _why_none(threshold: Threshold) -> str:
    label = threshold.label
    if label and threshold.metric.bracket is Bracket.TYPOLOGY:
        return f"the detector judged no {label}"
    if label:
        return f"no call to {label} was made"
    return threshold.metric.no_data
