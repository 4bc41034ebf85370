"""The figures that thresholds are judged by, as readers of `Measures`.

A reader takes the figures of a run so far, the label in a metric's brackets and the
statistic after its dot (both "" where there is none), and gives a `Reading`.  Makers of
readers (`part`, `per_second`, …) keep the catalogue a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from banksim.measure.figures import DetectionFigures, TypologyRow
from banksim.measure.latency import LatencyHistogram
from banksim.measure.measures import Measures
from banksim.measure.scores import share

# -- Units of thresholds: what a bound may be written in, what it must lie between, how a figure is shown ---
#
# A bound is read as a decimal, not as a binary float, so that `95.5%` is exactly 0.955 and a
# recall of 191 in 200 meets it.  Figures are shown in the notation that bounds are written in.


#: Digits of a shown figure; more where fewer would hide on which side of the bound it lies.
DIGITS = 3
MOST_DIGITS = 16
#: From this many milliseconds on a time is shown in seconds.
SECONDS_FROM_MS = 10_000.0


class ThresholdProblem(ValueError):
    """What is wrong with one threshold, in words; without the threshold's own text."""


@dataclass(frozen=True, slots=True)
class Unit:
    """``factors`` turns what is written after the number into the base unit ("" is nothing written)."""

    name: str
    written: str
    factors: Mapping[str, Decimal]
    low: Decimal | None = Decimal(0)
    high: Decimal | None = None
    whole: bool = False
    shown: str = field(default="")

    def bound(self, number: Decimal, suffix: str) -> float:
        """A written bound in the base unit.  Raises ThresholdProblem when it is out of range."""
        written = f"{number:f}{suffix}"
        factor = self.factors.get(suffix.replace("μ", "µ").lower())
        if factor is None:
            raise ThresholdProblem(f"{written}: expected {self.written}")
        value = number * factor
        if self.low is not None and value < self.low:
            raise ThresholdProblem(f"{written}: less than there can be; expected {self.written}")
        if self.high is not None and value > self.high:
            hint = f"; did you mean {number:f}%?" if self is SHARE and not suffix and number <= 100 else ""
            raise ThresholdProblem(f"{written}: more than there can be; expected {self.written}{hint}")
        if self.whole and value != value.to_integral_value():
            raise ThresholdProblem(f"{written}: expected {self.written}")
        return float(value)

    def show(self, value: float, bound: float | None = None) -> str:
        """``value`` in three digits, or as many as it takes to lie on its own side of ``bound``."""
        if self.whole:
            return str(round(value))
        if self is SHARE:
            return f"{_plain(value, bound, Decimal(100))}%"
        if self is TIME:
            if value >= SECONDS_FROM_MS:
                return f"{_plain(value, bound, Decimal('0.001'))}s"
            return f"{_plain(value, bound)}ms"
        return f"{_plain(value, bound)}{self.shown}"


def _plain(value: float, bound: float | None, scale: Decimal = Decimal(1)) -> str:
    # Nor may 99.96 % look like all of it.
    edges = (1.0,) if bound is None else (1.0, bound)
    rounded = value
    for digits in range(DIGITS, MOST_DIGITS + 1):
        rounded = float(f"{value:.{digits}g}")
        if all((rounded > edge, rounded < edge) == (value > edge, value < edge) for edge in edges):
            break
    text = f"{Decimal(repr(rounded)) * scale:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _factors(**factors: str) -> dict[str, Decimal]:
    return {suffix: Decimal(factor) for suffix, factor in factors.items()}


_AS_IS = {"": Decimal(1)}
_OR_PERCENT = {**_AS_IS, "%": Decimal("0.01")}

SHARE = Unit("share", "a share from 0% to 100%, or from 0 to 1", _OR_PERCENT, high=Decimal(1))
INDEX = Unit("0 to 1", "a number from 0 to 1, or a percentage", _OR_PERCENT, high=Decimal(1))
CORRELATION = Unit("-1 to 1", "a number from -1 to 1", _AS_IS, low=Decimal(-1), high=Decimal(1))
PER_10000 = Unit("per 10,000", "a number from 0 to 10000", _AS_IS, high=Decimal(10_000))
COUNT = Unit("count", "a whole number", _AS_IS, whole=True)
RATE = Unit(
    "per wall second",
    "a number from 0, or with /s",
    {**_AS_IS, "/s": Decimal(1), "tps": Decimal(1)},
    shown="/s",
)
TIME = Unit(
    "time",
    "a time with its unit: us, ms, s or min (150ms)",
    {"µs": Decimal("0.001"), **_factors(us="0.001", ms="1", s="1000", min="60000")},
)

#: Wall-clock lengths after `for`, in seconds.
DURATION = Unit(
    "duration",
    "a length with its unit: s, min or h (30s)",
    _factors(ms="0.001", s="1", min="60", m="60", h="3600"),
    high=Decimal(7 * 86_400),
)


#: After the dot of a latency.
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
STATISTICS = (*PERCENTILES, "mean", "max")


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure, None when there is nothing to make it of, and how much it rests on.

    ``trials`` is the number of transactions (or campaigns) behind a share; ``low`` and
    ``high`` the ends of its 95 % interval where it has one.
    """

    value: float | None
    trials: int | None = None
    low: float | None = None
    high: float | None = None


class Figures:
    """The figures of a run so far, each worked out when first asked for."""

    def __init__(self, measures: Measures, wall_s: float) -> None:
        """``wall_s``: wall seconds since simulated time began, for rates."""
        self.measures = measures
        self.tally = measures.tally
        self.wall_s = wall_s

    @cached_property
    def detection(self) -> DetectionFigures:
        settings = self.measures.settings
        return self.measures.detection.figures(settings.prevalence, settings.false_positive_cost_cents)

    @cached_property
    def typologies(self) -> dict[str, TypologyRow]:
        return self.measures.detection.by_typology()

    def series(self, name: str) -> LatencyHistogram:
        """Latencies of transactions ("response", "service", "lag") or of all calls to a system."""
        return self.measures.latency.get(name) or self.measures.calls.of_system(name)

    def calls(self, system: str) -> tuple[int, int]:
        """(calls made to a system, how many of them failed)."""
        calls = self.measures.calls
        failed = sum(count for (owner, _), count in calls.failed.items() if owner == system)
        return calls.of_system(system).count, failed


Read = Callable[[Figures, str, str], Reading]


def recall(figures: Figures, label: str, _: str) -> Reading:
    if not label:
        return with_interval("recall", ("tp", "fn"))(figures, "", "")
    row = figures.typologies.get(label)
    if row is None:
        return Reading(None)
    return Reading(row.recall, row.scored + row.missing, row.recall_low, row.recall_high)


def with_interval(name: str, trials: tuple[str, str]) -> Read:
    """A share of detection with a 95 % interval; ``trials`` are the two cells it divides by."""

    def read(figures: Figures, _: str, __: str) -> Reading:
        found = figures.detection
        behind = sum(getattr(found.confusion, cell) for cell in trials)
        low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
        return Reading(getattr(found, name), behind, low, high)

    return read


def campaign_recall(figures: Figures, _: str, __: str) -> Reading:
    found = figures.detection
    return Reading(
        found.campaign_recall, found.campaigns, found.campaign_recall_low, found.campaign_recall_high
    )


def fp_per_10000(figures: Figures, _: str, __: str) -> Reading:
    return Reading(figures.detection.false_positives_per_10000)


def of_fraud(name: str) -> Read:
    """A figure of detection without interval, resting on the fraud that was judged."""

    def read(figures: Figures, _: str, __: str) -> Reading:
        return Reading(getattr(figures.detection, name), figures.detection.confusion.fraud)

    return read


def of_all(name: str) -> Read:
    def read(figures: Figures, _: str, __: str) -> Reading:
        return Reading(getattr(figures.detection, name))

    return read


def fraud_transactions(figures: Figures, label: str, _: str) -> Reading:
    if not label:
        return Reading(figures.measures.detection.fraudulent().transactions)
    row = figures.typologies.get(label)
    return Reading(row.transactions if row is not None else 0)


def tally_count(name: str, of: str = "") -> Read:
    """A count of the tally, by its attribute; nothing when there is none of ``of`` that it could count."""

    def read(figures: Figures, _: str, __: str) -> Reading:
        if of and not getattr(figures.tally, of):
            return Reading(None)
        return Reading(getattr(figures.tally, name))

    return read


def errors(figures: Figures, label: str, _: str) -> Reading:
    if label:
        made, failed = figures.calls(label)
        return Reading(share(failed, made))
    tally = figures.tally
    return Reading(share(tally.failed + tally.unknown, tally.finished))


def completion(figures: Figures, _: str, statistic: str) -> Reading:
    histogram, _came = figures.measures.calls.completions()
    if statistic in PERCENTILES:
        return Reading(histogram.percentile(PERCENTILES[statistic]))
    return Reading(histogram.mean_ms if statistic == "mean" else histogram.max_ms)


def within(figures: Figures, label: str, _: str) -> Reading:
    promised, came = figures.measures.calls.completions()
    return Reading(share(came.count_up_to(length_s(label) * 1000.0), promised.count), promised.count)


def length_s(text: str) -> float:
    """Seconds of "10s" or "2min".  Raises ThresholdProblem."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text)
    if match is None:
        raise ThresholdProblem(f"expected {DURATION.written} in brackets, got {text!r}")
    return DURATION.bound(Decimal(match[1]), match[2])


def resent(figures: Figures, label: str, _: str) -> Reading:
    calls = figures.measures.calls
    if not calls.by_call:
        return Reading(None)
    return Reading(float(sum(n for (owner, _), n in calls.resent.items() if label in ("", owner))))


def growth(figures: Figures, label: str, _: str) -> Reading:
    found = figures.measures.calls.growth.get(label)
    line = found.figures() if found is not None else None
    return Reading(None) if line is None else Reading(line.slope_ms, line.calls, line.low_ms, line.high_ms)


def part(name: str, whole: str) -> Read:
    """One count of the tally over another."""

    def read(figures: Figures, _: str, __: str) -> Reading:
        return Reading(share(getattr(figures.tally, name), getattr(figures.tally, whole)))

    return read


def per_second(name: str) -> Read:
    def read(figures: Figures, _: str, __: str) -> Reading:
        return Reading(getattr(figures.tally, name) / figures.wall_s if figures.wall_s > 0 else None)

    return read


def balance_violations(figures: Figures, _: str, __: str) -> Reading:
    checks = figures.measures.balance_checks
    return Reading(checks.violations if checks.readings else None)


def compared(name: str) -> Read:
    """A figure of the comparison after the run; there is none before."""

    def read(figures: Figures, _: str, __: str) -> Reading:
        found = figures.measures.reconciliation
        return Reading(getattr(found, name) if found is not None and found.accounts else None)

    return read


def peak_tps(figures: Figures, _: str, __: str) -> Reading:
    return Reading(figures.measures.timeline.peak_tps())


def latency(series: str = "") -> Read:
    """A statistic of a latency; of the system in the brackets when no ``series`` is given."""

    def read(figures: Figures, label: str, statistic: str) -> Reading:
        histogram = figures.series(series or label)
        if statistic == "mean":
            return Reading(histogram.mean_ms)
        if statistic == "max":
            return Reading(histogram.max_ms)
        return Reading(histogram.percentile(PERCENTILES[statistic]))

    return read
