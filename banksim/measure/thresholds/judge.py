"""The language of thresholds, and every mistake in it told before a run starts.

    threshold  = metric comparison bound { "for" length | "abort" }
    metric     = name [ "[" label "]" ] [ "." statistic ]       recall[card_testing]   latency[bastion].p95
    comparison = ">=" | "<=" | ">" | "<" | "==" | "!="
    bound      = number [ unit ]                                90%   0.9   150ms   1.5s   0
    length     = number ( "s" | "min" | "h" )                   wall-clock time

Which names, labels, statistics and units there are is the catalogue's business
(thresholds_metrics.py).  Not handled, on purpose: arithmetic, "and", comparisons of two metrics.

Thresholds of a run: watched about once a second while it goes on, judged at its end.

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

import difflib
import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from banksim.measure.results import ThresholdRow
from banksim.measure.scores import enough
from banksim.measure.thresholds.metrics import CATALOGUE, SYSTEMS, Bracket, Metric
from banksim.measure.thresholds.readings import (
    DURATION,
    STATISTICS,
    Figures,
    Reading,
    ThresholdProblem,
    length_s,
)
from banksim.model import ScenarioError
from banksim.scenario import Scenario
from banksim.scenario.fraud import KNOWN_PATTERN_TYPES, PATTERN_ALIASES, canonical_type

MAX_CHARACTERS = 200
#: More gates than this are a mistake of whoever generates them.
MAX_THRESHOLDS = 200

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
#: "expected …", for people.
IN_WORDS = {
    ">=": "at least",
    "<=": "at most",
    ">": "more than",
    "<": "less than",
    "==": "exactly",
    "!=": "anything but",
}
_SLIPS = {"=": "==", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "≠": "!=", "<>": "!="}

_METRIC = re.compile(r"([A-Za-z_]\w*)\s*(?:\[([^\[\]]*)\])?\s*(?:\.\s*(\w*))?\s*")
_COMPARISON = re.compile(r"([<>=!≥≤≠]+)\s*")
_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d+)?|\.\d+))\s*(?!(?:for|abort)\b)(%|/s|[A-Za-zµμ]*)\s*", re.ASCII)
_SUFFIX = re.compile(r"(\w+)\s*")

#: What people may call a metric, for the hint; close spellings are found without this.
_MEANT = {
    "ap": "average_precision",
    "auc": "roc_auc",
    "dropped": "drops",
    "error_rate": "errors",
    "failures": "errors",
    "p50": "response_time.p50",
    "p90": "response_time.p90",
    "p95": "response_time.p95",
    "p99": "response_time.p99",
    "rps": "tps",
    "throughput": "tps",
    "tpr": "recall",
}

_BY_NAME = {name: metric for metric in CATALOGUE for name in (metric.name, *metric.aliases)}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition.  ``bound`` is in the metric's base unit (shares 0..1, times in ms)."""

    expression: str
    metric: Metric
    label: str
    statistic: str
    comparison: str
    bound: float
    bound_text: str
    for_s: float | None = None
    abort: bool = False

    def holds(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.bound)

    @property
    def live(self) -> bool:
        """Whether it is watched while the run goes on, and not only judged at its end."""
        return self.abort or self.for_s is not None


def parse_thresholds(texts: Sequence[str], typologies: Collection[str] | None = None) -> list[Threshold]:
    """Read all of them; the same condition twice counts once.

    ``typologies``: the names that can stand in brackets; None takes any name (plugins may
    add some).  Raises ScenarioError with one line for each that is wrong.
    """
    if len(texts) > MAX_THRESHOLDS:
        raise ScenarioError([f"thresholds: expected at most {MAX_THRESHOLDS}, got {len(texts)}"])
    found: dict[str, Threshold] = {}
    problems = []
    for text in texts:
        try:
            threshold = parse_threshold(text, typologies)
            found[threshold.expression] = threshold
        except ThresholdProblem as problem:
            problems.append(f"threshold {_shortened(text)!r}: {problem}")
    if problems:
        raise ScenarioError(problems)
    return list(found.values())


def parse_threshold(text: str, typologies: Collection[str] | None = KNOWN_PATTERN_TYPES) -> Threshold:
    """Read one threshold.  Raises ThresholdProblem saying what was expected where."""
    if len(text) > MAX_CHARACTERS:
        raise ThresholdProblem(f"expected at most {MAX_CHARACTERS} characters, got {len(text)}")
    reader = _Reader(text.strip())
    name, label, statistic = reader.take(_METRIC, "the name of a metric, such as recall or response_time.p99")
    metric = _metric(name)
    label = _label(metric, label, typologies)
    statistic = _statistic(metric, label, statistic)
    (comparison,) = reader.take(_COMPARISON, "a comparison: >=, <=, >, <, == or !=")
    comparison = _comparison(comparison or "")
    number, unit = reader.take(_NUMBER, f"{metric.unit.written} after {comparison}")
    bound = metric.unit.bound(Decimal(number or ""), unit or "")
    _check_possible(metric, comparison, bound)
    for_s, for_text, abort = _suffixes(reader)
    bound_text = f"{number}{unit}"
    shown = metric.name + (f"[{label}]" if label else "") + (f".{statistic}" if statistic else "")
    expression = f"{shown} {comparison} {bound_text}"
    expression += f" for {for_text}" if for_text else ""
    expression += " abort" if abort else ""
    threshold = Threshold(expression, metric, label, statistic, comparison, bound, bound_text, for_s, abort)
    if threshold.live and metric.grows and not threshold.holds(0):
        raise ThresholdProblem(
            f"{metric.name} starts at 0 and grows, so this can only be judged at the end; "
            "leave out for and abort"
        )
    return threshold


class _Reader:
    """The text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    @property
    def rest(self) -> str:
        return self._text[self._place :]

    def take(self, pattern: re.Pattern[str], expected: str) -> tuple[str | None, ...]:
        """The groups of ``pattern`` at this place.  Raises ThresholdProblem when something else is there."""
        match = pattern.match(self._text, self._place)
        if match is None:
            got = repr(self.rest) if self.rest else "nothing"
            raise ThresholdProblem(f"expected {expected}, got {got}")
        self._place = match.end()
        return match.groups()


def _metric(name: str | None) -> Metric:
    found = _BY_NAME.get(name or "")
    if found is None:
        meant = _MEANT.get((name or "").lower())
        hint = f"did you mean {meant}?" if meant else _hint(name or "", [metric.name for metric in CATALOGUE])
        raise ThresholdProblem(f"unknown metric {name}; {hint}")
    return found


def _label(metric: Metric, label: str | None, typologies: Collection[str] | None) -> str:
    if label is None:
        if metric.bracket in (Bracket.SYSTEM, Bracket.LENGTH):
            which = "of which system" if metric.bracket is Bracket.SYSTEM else "within what time"
            raise ThresholdProblem(f"{metric.name}: {which}? {metric.form}")
        return ""
    name = label.strip()
    if metric.bracket is Bracket.NONE:
        raise ThresholdProblem(f"{metric.name} takes nothing in brackets; did you mean {metric.form}?")
    if metric.bracket is Bracket.LENGTH:
        length_s(name)
        return name
    if metric.bracket is not Bracket.TYPOLOGY:
        if name not in SYSTEMS:
            raise ThresholdProblem(f"unknown system {name!r}; {_hint(name, SYSTEMS)}")
        return name
    name = canonical_type(name)
    if not name or (typologies is not None and name not in typologies):
        known = [*(typologies or ()), *PATTERN_ALIASES]
        raise ThresholdProblem(f"unknown typology {name!r}; {_hint(name, known)}")
    return name


def _statistic(metric: Metric, label: str, statistic: str | None) -> str:
    shown = metric.name + (f"[{label}]" if label else "")
    if not metric.statistics:
        if statistic is not None:
            raise ThresholdProblem(f"{shown} is one figure; leave out .{statistic}")
        return ""
    if statistic is None:
        raise ThresholdProblem(f"{shown}: which figure of it? {_choices(shown)}")
    if statistic not in STATISTICS:
        raise ThresholdProblem(f"unknown figure {shown}.{statistic}; known: {_choices(shown)}")
    return statistic


def _choices(shown: str) -> str:
    return ", ".join(f"{shown}.{name}" for name in STATISTICS)


def _comparison(text: str) -> str:
    if text not in COMPARISONS:
        guess = _SLIPS.get(text)
        hint = f"did you mean {guess}?" if guess else f"known: {' '.join(COMPARISONS)}"
        raise ThresholdProblem(f"unknown comparison {text}; {hint}")
    return text


def _check_possible(metric: Metric, comparison: str, bound: float) -> None:
    low, high = metric.unit.low, metric.unit.high
    never = (comparison == "<" and low is not None and bound <= low) or (
        comparison == ">" and high is not None and bound >= high
    )
    if never:
        raise ThresholdProblem(f"can never hold: {metric.name} is never {IN_WORDS[comparison]} {bound:g}")


def _suffixes(reader: _Reader) -> tuple[float | None, str, bool]:
    """(seconds after `for`, the length as written, whether `abort` is there), in any order."""
    for_s: float | None = None
    for_text = ""
    abort = False
    while reader.rest:
        (word,) = reader.take(_SUFFIX, "nothing more, for LENGTH or abort")
        if word == "abort" and not abort:
            abort = True
        elif word == "for" and for_s is None:
            number, unit = reader.take(_NUMBER, f"{DURATION.written} after for")
            for_s = DURATION.bound(Decimal(number or ""), unit or "")
            for_text = f"{number}{unit}"
            if for_s <= 0:
                raise ThresholdProblem(f"for {for_text}: expected a length above 0")
        else:
            raise ThresholdProblem(f"expected nothing more, for LENGTH or abort, got {word!r}")
    return for_s, for_text, abort


def _hint(word: str, known: Collection[str]) -> str:
    # A part or an abbreviation of a name is farther from it than its letters say.
    inside = [name for name in known if len(word) >= 3 and word.lower() in name]
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6) or inside[:1]
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


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
