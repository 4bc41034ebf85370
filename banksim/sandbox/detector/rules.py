"""Named rules: each turns features into a strength 0..1, and has a weight.

The score is a noisy-or: 1 − Π(1 − weight × strength).  A rule alone can reach its weight; two
half-certain ones add up as independent witnesses would.  REVIEW from 0.5, BLOCK from 0.8.

Weights and ramps are judgement, tuned on synthetic streams for few false positives; they
resemble a competent rule set of a bank, not an oracle.  Sophisticated fraud that stays within its
victim's habits passes, as intended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from banksim.sandbox.detector.features import AIRLINER_KMH, REPORTING_THRESHOLD, Features
from banksim.sandbox.detector.memory import DAY_S, HOUR_S, ramp

REVIEW_FROM = 0.5
BLOCK_FROM = 0.8
#: A rule is named among the reasons from this contribution on.
REASON_FROM = 0.15

Strength = Callable[[Features], float]


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    model: str
    weight: float
    strength: Strength
    text: str


def _velocity(f: Features) -> float:
    return ramp(f.velocity_surprise, 3.0, 4.8)


def _transfer_burst(f: Features) -> float:
    return ramp(f.transfer_surprise, 3.0, 5.0)


def _amount(f: Features) -> float:
    return ramp(f.amount_z, 2.7, 4.2) if f.amount > 50 else 0.0


def _travel(f: Features) -> float:
    return 0.75 + 0.25 * ramp(f.speed_kmh, AIRLINER_KMH, 3_000) if f.speed_kmh > AIRLINER_KMH else 0.0


def _far_away(f: Features) -> float:
    return ramp(f.distance_km, 1_000, 4_000) * (0.6 + 0.4 * f.new_country)


def _new_device_amount(f: Features) -> float:
    return f.new_device * ramp(f.amount_z, 0.0, 1.5) if f.amount > 50 else 0.0


def _new_device_payee(f: Features) -> float:
    return f.new_device * f.new_payee


def _probe(f: Features) -> float:
    return f.new_device * f.small_amount * f.remote * ramp(-f.amount_z, 0.0, 1.0)


def _stranger(f: Features) -> float:
    """A payee never paid before, or first paid within three days (scams start with small payments)."""
    return max(f.new_payee, 0.8 * ramp(3 * DAY_S - f.payee_age_s, 0, 2 * DAY_S))


def _new_payee_large(f: Features) -> float:
    return _stranger(f) * ramp(f.amount_z, 1.4, 2.8)


def _shared_device(f: Features) -> float:
    if f.device_customers_1h == 2:
        return 0.6 if f.small_amount and f.remote else 0.2
    return 0.0 if f.device_customers_1h < 2 else 0.7 if f.device_customers_1h == 3 else 1.0


def _merchant_burst(f: Features) -> float:
    return ramp(f.merchant_small_surprise, 3.0, 6.0)


def _probe_wave(f: Features) -> float:
    return ramp(f.probe_surprise, 2.5, 5.0) * ramp(-f.amount_z, 0.5, 1.3)


def _structuring(f: Features) -> float:
    if f.band_deposits_7d <= 1:
        return 0.25 * f.in_band
    return 0.65 if f.band_deposits_7d == 2 else 1.0


def _cash_total(f: Features) -> float:
    if f.cash_count_2d < 3:
        return 0.0
    whole = ramp(f.cash_in_2d, 0.8 * REPORTING_THRESHOLD, 1.2 * REPORTING_THRESHOLD)
    return whole * ramp(f.cash_surprise, 0.5, 2.0) * ramp(f.amount_z, 0.0, 1.5)


def _pass_through(f: Features) -> float:
    soon = 1.0 - 0.6 * ramp(f.since_inflow_s, 2 * HOUR_S, DAY_S)
    whole = ramp(f.pass_through, 0.5, 0.8) * (1.0 - ramp(f.pass_through, 1.3, 2.5))
    return whole * soon * (0.3 + 0.7 * ramp(f.amount_z, 0.2, 1.4))


def _fan(f: Features) -> float:
    return ramp(f.fan_surprise, 1.2, 3.0) * (0.5 + 0.5 * _stranger(f))


def _drain(f: Features) -> float:
    return ramp(f.outflow_ratio, 8, 25) * ramp(f.amount_z, 0.5, 2.0)


def _new_customer(f: Features) -> float:
    young = f.run_age_s > DAY_S and f.customer_age_s < DAY_S
    return ramp(f.amount_z, 1.2, 2.5) if young else 0.0


RULES: tuple[Rule, ...] = (
    Rule("velocity", "velocity_model", 0.90, _velocity, "far more transactions than this customer's pace"),
    Rule("transfer_burst", "velocity_model", 0.75, _transfer_burst, "more transfers than in days"),
    Rule("amount_unusual", "amount_model", 0.80, _amount, "amount far above own and common habits"),
    Rule("impossible_travel", "location_model", 0.95, _travel, "two places faster than an airliner"),
    Rule("far_from_last_place", "location_model", 0.25, _far_away, "far from where the customer was last"),
    Rule("new_device", "device_model", 0.25, attrgetter("new_device"), "first use of this device"),
    Rule("new_device_large_amount", "device_model", 0.60, _new_device_amount, "new device, large amount"),
    Rule("new_device_new_payee", "device_model", 0.45, _new_device_payee, "new device pays a new payee"),
    Rule("new_device_probe", "device_model", 0.45, _probe, "new device tries a tiny amount remotely"),
    Rule("new_payee_large_amount", "network_model", 0.70, _new_payee_large, "large amount to a new payee"),
    Rule("shared_device", "device_model", 0.92, _shared_device, "one device acts for many customers"),
    Rule("merchant_probe_burst", "network_model", 0.88, _merchant_burst, "many cards pay tiny amounts here"),
    Rule("probe_wave", "velocity_model", 0.65, _probe_wave, "a wave of tiny remote purchases"),
    Rule("structuring", "amount_model", 0.90, _structuring, "repeated deposits just under the threshold"),
    Rule("cash_total", "amount_model", 0.55, _cash_total, "small deposits add up to the threshold"),
    Rule("pass_through", "network_model", 0.80, _pass_through, "money leaves soon after it came"),
    Rule("fan_in_out", "network_model", 0.75, _fan, "many counterparties within a day"),
    Rule(
        "suspicious_source",
        "network_model",
        0.40,
        attrgetter("taint"),
        "money from a suspicious payment",
    ),
    Rule("account_drain", "amount_model", 0.50, _drain, "an hour spends what days usually do"),
    Rule("new_customer_large_amount", "amount_model", 0.40, _new_customer, "new customer, large amount"),
    Rule(
        "round_trip",
        "network_model",
        0.50,
        attrgetter("round_trip"),
        "the same money goes back to its sender",
    ),
)
MODELS: tuple[str, ...] = (
    "amount_model",
    "velocity_model",
    "location_model",
    "device_model",
    "network_model",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``score`` 0..1; ``hits`` are rule names, strongest first; ``models`` the noisy-or per group."""

    score: float
    action: str
    hits: tuple[str, ...]
    models: dict[str, float]


def judge(features: Features) -> Verdict:
    """Combine all rules; a small continuous part keeps harmless scores apart from each other."""
    innocence = 0.98 - 0.06 * ramp(features.amount_z, -1.0, 4.0)
    remaining = dict.fromkeys(MODELS, 1.0)
    hits: list[tuple[float, str]] = []
    for rule in RULES:
        contribution = rule.weight * rule.strength(features)
        if contribution > 0.0:
            innocence *= 1.0 - contribution
            remaining[rule.model] *= 1.0 - contribution
            if contribution >= REASON_FROM:
                hits.append((-contribution, rule.name))
    score = 1.0 - innocence
    action = "BLOCK" if score >= BLOCK_FROM else "REVIEW" if score >= REVIEW_FROM else "APPROVE"
    hits.sort()
    models = {model: round(1.0 - left, 4) for model, left in remaining.items()}
    return Verdict(score, action, tuple(name for _, name in hits), models)
