"""The scenario's patterns with everything resolved that planning needs.

A pattern in a file leaves things open: the typology behind its type, the pattern it follows, the
window it acts in, the name where two patterns have one type.  A `ResolvedPattern` has the answers.
A scenario without any pattern still has its fraud rate; a mix of common kinds makes it (`DEFAULT_MIX`).

Decoys need no pattern: `DECOY_MIX` makes `fraud.decoy_rate`.  A plugin's decoy may be named as a
pattern; without `count` such patterns replace the mix and share the decoy rate by weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from banksim.fraud.typology import Registry, Typology
from banksim.model import Label
from banksim.scenario import FraudSettings, Pattern

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
