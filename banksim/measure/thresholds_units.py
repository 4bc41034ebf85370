"""Units of thresholds: what a bound may be written in, what it must lie between, how a figure is shown.

A bound is read as a decimal, not as a binary float, so that `95.5%` is exactly 0.955 and a
recall of 191 in 200 meets it.  Figures are shown in the notation that bounds are written in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

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
