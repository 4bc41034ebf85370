"""The planned shares of fraud and decoys in the offered rate, moment by moment.

Fraud.  The share at a moment is the highest level of the rate-driven patterns acting then
(see `calendar`), split among them by weight × level: so a phase outside the attack window
has the phase's own patterns and a little of the background.

Hours.  A clumsy fraudster works when few people watch; a careful one when the victims are awake.
So a pattern's part bends by the hour, and bends more the less sophisticated it is:

    part × (1 + (NIGHT_PULL[hour] − 1) × (1 − sophistication) × (1 − level)²)  ÷  its mean over the span

The mean is weighted with λ, so a span between two edges of windows and phases holds exactly as
many transactions as without the bend.  The last factor keeps every share below 1.

Decoys.  `decoy_rate` at all hours, split by weight.  They are part of λ too: genuine customers
get what fraud and decoys leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from banksim.fraud.calendar import SECONDS_PER_DAY, SECONDS_PER_HOUR, Calendar
from banksim.fraud.patterns import ResolvedPattern
from banksim.scenario import FraudSettings
from banksim.schedule.rate import Piece, PiecewiseRate

#: How much likelier than by daylight a clumsy fraudster acts, by clock hour (judgement).
NIGHT_PULL = (2.4, 2.8, 3.0, 3.0, 2.6, 2.0, 1.3, *(1.0,) * 14, 1.2, 1.6, 2.0)


@dataclass(frozen=True, slots=True)
class Shares:
    """Planned shares of λ (0..1): all fraud, all decoys, and each rate-driven pattern by key."""

    whole: PiecewiseRate
    decoys: PiecewiseRate
    by_pattern: dict[str, PiecewiseRate]

    @property
    def genuine(self) -> PiecewiseRate:
        """The share that fraud and decoys leave to genuine customers."""
        return PiecewiseRate(
            Piece(p.start_s, p.end_s, max(0.0, 1.0 - p.value - self.decoys.at((p.start_s + p.end_s) / 2)))
            for p in self.whole
        )


def plan_shares(
    patterns: Sequence[ResolvedPattern], calendar: Calendar, settings: FraudSettings, offered: PiecewiseRate
) -> Shares:
    """The shares over the run, on common pieces no longer than an hour where a pattern bends."""
    driven = [pattern for pattern in patterns if pattern.count is None and pattern.options.weight > 0]
    frauds = [pattern for pattern in driven if not pattern.typology.is_decoy]
    decoys = [pattern for pattern in driven if pattern.typology.is_decoy]
    decoy_weight = sum(pattern.options.weight for pattern in decoys)
    whole: list[Piece] = []
    decoy_whole: list[Piece] = []
    parts: dict[str, list[Piece]] = {pattern.key: [] for pattern in driven}
    for start_s, end_s in _spans(calendar):
        values = _fraud_parts(frauds, calendar, settings, (start_s, end_s))
        hours = list(_hours(calendar, start_s, end_s)) if _bends(frauds) else [(start_s, end_s)]
        bends = {t.key: _bend(t, calendar, hours, offered, sum(values.values())) for t in frauds}
        for nth, (a, b) in enumerate(hours):
            now = {key: value * bends[key][nth] for key, value in values.items()}
            fraud = min(1.0, sum(now.values()))
            decoy = min(settings.decoy_rate, 1.0 - fraud) if decoys else 0.0
            whole.append(Piece(a, b, fraud))
            decoy_whole.append(Piece(a, b, decoy))
            now |= {t.key: decoy * t.options.weight / decoy_weight for t in decoys}
            for key, value in now.items():
                parts[key].append(Piece(a, b, value))
    by_pattern = {key: PiecewiseRate(pieces) for key, pieces in parts.items()}
    return Shares(PiecewiseRate(whole), PiecewiseRate(decoy_whole), by_pattern)


def _spans(calendar: Calendar) -> Iterator[tuple[float, float]]:
    """The run, cut at the edges of attack windows and phases."""
    edges = {0.0, calendar.duration_s}
    for window in calendar.windows:
        edges |= {window.start_s, window.end_s}
    yield from zip(sorted(edges), sorted(edges)[1:], strict=False)


def _fraud_parts(
    frauds: Sequence[ResolvedPattern], calendar: Calendar, settings: FraudSettings, span: tuple[float, float]
) -> dict[str, float]:
    """Each pattern's mean share over the span."""
    middle_s = sum(span) / 2
    levels = {t.key: calendar.level_at(middle_s, t.phase, settings) for t in frauds}
    weighted = {t.key: t.options.weight * levels[t.key] for t in frauds}
    share, total = max(levels.values(), default=0.0), sum(weighted.values())
    return {key: share * value / total if total else 0.0 for key, value in weighted.items()}


def _bends(frauds: Sequence[ResolvedPattern]) -> bool:
    return any(pattern.sophistication < 1.0 for pattern in frauds)


def _bend(
    pattern: ResolvedPattern,
    calendar: Calendar,
    hours: Sequence[tuple[float, float]],
    offered: PiecewiseRate,
    level: float,
) -> list[float]:
    """The pattern's factor in each of ``hours``; their mean, weighted with λ, is 1."""
    strength = (1.0 - pattern.sophistication) * (1.0 - level) ** 2
    factors = [1.0 + (NIGHT_PULL[_clock_hour(calendar, a, b)] - 1.0) * strength for a, b in hours]
    loads = [offered.integral(a, b) for a, b in hours]
    if strength == 0 or not sum(loads) > 0:
        return [1.0] * len(hours)
    mean = sum(f * load for f, load in zip(factors, loads, strict=True)) / sum(loads)
    return [factor / mean for factor in factors]


def _hours(calendar: Calendar, start_s: float, end_s: float) -> Iterator[tuple[float, float]]:
    """The span cut at every full clock hour."""
    low_s = start_s
    while low_s < end_s:
        past_s = (low_s + calendar.start_clock_s) % SECONDS_PER_HOUR
        # Floats: a moment a hair before the hour counts as the hour.
        left_s = SECONDS_PER_HOUR - past_s if SECONDS_PER_HOUR - past_s > 1e-6 else SECONDS_PER_HOUR
        high_s = min(end_s, low_s + left_s)
        yield low_s, high_s
        low_s = high_s


def _clock_hour(calendar: Calendar, start_s: float, end_s: float) -> int:
    middle_s = (start_s + end_s) / 2 + calendar.start_clock_s
    return int(middle_s % SECONDS_PER_DAY // SECONDS_PER_HOUR)
