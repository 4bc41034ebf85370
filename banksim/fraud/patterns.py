"""The scenario's patterns with everything resolved that planning needs.

A pattern in a file leaves things open: the typology behind its type, the pattern it follows, the
window it acts in, the name where two patterns have one type.  A `ResolvedPattern` has the answers.
A scenario without any pattern still has its fraud rate; a mix of common kinds makes it (`DEFAULT_MIX`).

Decoys need no pattern: `DECOY_MIX` makes `fraud.decoy_rate`.  A plugin's decoy may be named as a
pattern; without `count` such patterns replace the mix and share the decoy rate by weight.

The planned shares of fraud and decoys in the offered rate, moment by moment.

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

Loads the typologies of a run: the built-in ones, then the plugin files its scenario names.

A plugin may replace a built-in typology by using its name; the later file wins.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module, util
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from banksim.activity.payments import payments_in
from banksim.fraud import typologies
from banksim.fraud.calendar import SECONDS_PER_DAY, SECONDS_PER_HOUR, Calendar
from banksim.fraud.typology import Registry, Typology
from banksim.model import Label, ScenarioError
from banksim.scenario import FraudSettings, Pattern
from banksim.schedule.clock import Piece, PiecewiseRate

#: Share of each kind when a scenario names none.  Judgement, after the channels of card fraud
#: (card-not-present 73–79 %, point of sale 19 %, cash machine 8 %; ECB 2016–18, indicative).
DEFAULT_MIX: dict[str, float] = {
    "online_fraud": 0.34,
    "card_testing": 0.19,
    "unusual_location": 0.11,
    "account_takeover": 0.09,
    "large_amount": 0.07,
    # 186 k scams against 3.13 M unauthorised cases (UK 2024, indicative): 6 %.
    "app_scam": 0.06,
    "velocity_attack": 0.05,
    "mule_network": 0.03,
    "structuring": 0.02,
    "identity_theft": 0.02,
    "layering": 0.01,
    "smurfing": 0.01,
}
#: Share of each decoy in the decoy rate (judgement).
DECOY_MIX: dict[str, float] = {
    "holiday_trip": 0.22,
    "big_purchase": 0.15,
    "pay_day_burst": 0.15,
    "landlord_fan_in": 0.10,
    "payroll": 0.08,
    "club_treasurer": 0.08,
    "marketplace_seller": 0.07,
    "remittance": 0.07,
    "cash_takings": 0.02,
    "errands": 0.02,
    "returned_goods": 0.02,
    "new_phone": 0.02,
}
#: Genuine people do not keep the rhythm of a script.
DECOY_SOPHISTICATION = 1.0


@dataclass(frozen=True, slots=True)
class ResolvedPattern:
    """One pattern of the scenario.

    ``options`` is the pattern as written, ``parent`` the key of the pattern it follows.
    """

    key: str
    options: Pattern
    typology: Typology
    sophistication: float
    phase: str | None = None
    parent: str | None = None

    @property
    def count(self) -> int | None:
        return self.options.count

    @property
    def delay_s(self) -> float:
        return self.options.delay_minutes * 60.0

    @property
    def duration_s(self) -> float | None:
        """The longest a campaign may take; None if the scenario sets no limit."""
        return None if self.options.duration_minutes is None else self.options.duration_minutes * 60.0

    @property
    def mean_size(self) -> float:
        """Transactions of a usual campaign; ``intensity`` does not make a counted one larger."""
        factor = self.options.intensity if self.count is None else 1.0
        own = getattr(self.options, self.typology.size_option) if self.typology.size_option else None
        usual = self.typology.mean_size if own is None else float(own)
        return max(float(self.typology.min_size), usual * factor)

    def natural_s(self, size: float) -> float:
        """Simulated seconds a campaign of ``size`` takes at its usual tempo, at most ``duration_s``."""
        usual_s = size * self.typology.mean_gap_s / self.options.intensity
        return usual_s if self.duration_s is None else min(usual_s, self.duration_s)


def resolve_patterns(settings: FraudSettings, registry: Registry) -> list[ResolvedPattern]:
    """Resolve every pattern of the scenario, parents before their followers.

    Raises ScenarioError when a pattern's type is unknown.
    """
    placed = list(_patterns(settings))
    keys = _unique_keys(placed)
    resolved: dict[str, ResolvedPattern] = {}
    for key, (pattern, phase) in zip(keys, placed, strict=True):
        link = pattern.follows or pattern.requires_successful
        target = settings.find_pattern(link, pattern) if link else None
        parent = next((k for k, (p, _) in zip(keys, placed, strict=True) if p is target), None)
        own = pattern.sophistication
        resolved[key] = ResolvedPattern(
            key=key,
            options=pattern,
            typology=registry.get(pattern.type),
            sophistication=settings.sophistication if own is None else own,
            phase=phase,
            parent=parent,
        )
    return _parents_first(resolved | _usual_decoys(settings, registry, resolved))


def _usual_decoys(
    settings: FraudSettings, registry: Registry, named: Mapping[str, ResolvedPattern]
) -> dict[str, ResolvedPattern]:
    """The usual mix of decoys this registry knows, unless the scenario names its own."""
    if settings.decoy_rate == 0 or any(t.typology.is_decoy and t.count is None for t in named.values()):
        return {}
    known = registry.names(Label.DECOY)
    usual = {name: weight for name, weight in DECOY_MIX.items() if name in known}
    return {
        f"{name}~decoy" if name in named else name: ResolvedPattern(
            key=f"{name}~decoy" if name in named else name,
            options=Pattern(type=name, weight=weight),
            typology=registry.get(name),
            sophistication=DECOY_SOPHISTICATION,
        )
        for name, weight in usual.items()
    }


def _patterns(settings: FraudSettings) -> Iterator[tuple[Pattern, str | None]]:
    if not settings.all_patterns and settings.rate > 0:
        for name, weight in DEFAULT_MIX.items():
            yield Pattern(type=name, weight=weight), None
    for pattern in settings.patterns:
        yield pattern, None
    for phase in settings.phases:
        for pattern in phase.patterns:
            yield pattern, phase.name


def _unique_keys(placed: list[tuple[Pattern, str | None]]) -> list[str]:
    """A short readable key for each: its label, with a number where labels repeat."""
    seen: dict[str, int] = {}
    keys: list[str] = []
    for pattern, _ in placed:
        label = pattern.label
        seen[label] = seen.get(label, 0) + 1
        key = label if seen[label] == 1 else f"{label}~{seen[label]}"
        while key in keys:
            key += "~"
        keys.append(key)
    return keys


def _parents_first(resolved: dict[str, ResolvedPattern]) -> list[ResolvedPattern]:
    ordered: dict[str, ResolvedPattern] = {}

    def place(key: str, seen: tuple[str, ...]) -> None:
        if key in ordered or key in seen:  # the scenario's check refuses circles; never loop on one
            return
        pattern = resolved[key]
        if pattern.parent is not None:
            place(pattern.parent, (*seen, key))
        ordered[key] = pattern

    for key in resolved:
        place(key, ())
    return list(ordered.values())


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
    for start_s, end_s in calendar.spans():
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


def load_plugin(path: Path) -> ModuleType:
    """Load the module in a user's file.  Raises ScenarioError, which names the file, on failure."""
    name = f"banksim_plugin_{path.stem}_{blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    spec = util.spec_from_file_location(name, path) if path.suffix == ".py" else None
    if spec is None or spec.loader is None or not path.is_file():
        what = "is not a Python file" if path.exists() else "is not a Python file: there is no such file"
        raise ScenarioError([f"plugins: {path} {what}"])
    module = util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their own module there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file may raise anything
        del sys.modules[name]
        raise ScenarioError([f"plugins: {path} cannot be loaded: {_where(error, path)}"]) from error
    return module


def _where(error: BaseException, path: Path) -> str:
    """The error in one line, with the line of the user's file that it came from."""
    text = " ".join(str(error).split())
    words = f"{type(error).__name__}: {text}" if text else type(error).__name__
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{words} (line {lines[-1]})" if lines else words


def build_registry(plugin_paths: Iterable[Path] = ()) -> Registry:
    """The built-in typologies and those of the given files.

    Raises ScenarioError when a file cannot be loaded or marks nothing.
    """
    return registry_of([load_plugin(path) for path in plugin_paths])


def registry_of(plugins: Iterable[ModuleType]) -> Registry:
    """The built-in typologies and those of loaded files.  Raises ScenarioError for one that adds nothing."""
    registry = Registry(
        import_module(f"{typologies.__name__}.{found.name}") for found in iter_modules(typologies.__path__)
    )
    for module in plugins:
        if not registry.add_module(module) and not payments_in(module):
            raise ScenarioError([f"plugins: {module.__file__} marks no function with @typology or @payment"])
    return registry
