"""The language of thresholds, and every mistake in it told before a run starts.

    threshold  = metric comparison bound { "for" length | "abort" }
    metric     = name [ "[" label "]" ] [ "." statistic ]       recall[card_testing]   latency[bastion].p95
    comparison = ">=" | "<=" | ">" | "<" | "==" | "!="
    bound      = number [ unit ]                                90%   0.9   150ms   1.5s   0
    length     = number ( "s" | "min" | "h" )                   wall-clock time

Which names, labels, statistics and units there are is the catalogue's business
(thresholds_metrics.py).  Not handled, on purpose: arithmetic, "and", comparisons of two metrics.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from banksim.measure.thresholds.metrics import CATALOGUE, SYSTEMS, Bracket, Metric
from banksim.measure.thresholds.readings import DURATION, STATISTICS, ThresholdProblem, length_s
from banksim.model import ScenarioError
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
