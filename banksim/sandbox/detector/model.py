"""The detector's model: rules that score a transaction, which is then written into the memory.

Each named rule turns features into a strength 0..1, and has a weight.  The score is a noisy-or:
1 − Π(1 − weight × strength).  A rule alone can reach its weight; two half-certain ones add up as independent
witnesses would.  REVIEW from 0.5, BLOCK from 0.8.  Weights and ramps are judgement, tuned on synthetic
streams for few false positives; they resemble a competent rule set of a bank, not an oracle.
Sophisticated fraud that stays within its victim's habits passes, as intended.

Suspicious transactions teach no habits (amounts, home, common behaviour), only counts, so an attack
does not become normal by being repeated.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from banksim.sandbox.detector.features import (
    AIRLINER_KMH,
    LARGE_CASH,
    PRESENT_CHANNELS,
    PROBE_Z,
    REPORTING_THRESHOLD,
    SETTLED_AFTER,
    WIDE_BAND,
    FeatureReader,
    Features,
    ScoreBody,
    ScoreRequest,
)
from banksim.sandbox.detector.memory import (
    DAY_S,
    HOUR_S,
    MAX_DEVICES_PER_CUSTOMER,
    MAX_PAYEES,
    AccountMemory,
    CustomerMemory,
    Memory,
    ramp,
)
from banksim.sandbox.http import read

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
    # People buy in outings, so that a few purchases in a row are less of a surprise than Poisson has it.
    return ramp(f.velocity_surprise, 5.5, 8.5)


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


# -- Scoring and learning ----------------------------------------------------------------------------------


MODEL_VERSION = "banksim-rules-1"
#: Bound: scores that are kept for repeated requests and for feedback.
MAX_REMEMBERED_SCORES = 10_000
#: Simulated seconds behind the newest; at high speeds single late arrivals are ordinary.
LATE_S = 3_600.0
RESTART_AFTER = 20


@dataclass(frozen=True, slots=True)
class Score:
    """``risk_score`` 0..1 (4 decimals), ``action`` APPROVE, REVIEW or BLOCK, ``reasons`` strongest first."""

    transaction_id: str
    risk_score: float
    action: str
    reasons: tuple[str, ...]
    model_scores: dict[str, float]
    features: Features
    event_time_s: float


class FraudModel:
    """Scores one transaction at a time, in the order of arrival.

    A new run starts its simulated time over, and the same seed repeats ids of shops and devices.  So
    when `RESTART_AFTER` requests in a row lie more than `LATE_S` in the past, all memory is dropped.
    """

    def __init__(self, memory: Memory | None = None, max_remembered: int = MAX_REMEMBERED_SCORES) -> None:
        self._reader = FeatureReader(Memory() if memory is None else memory)
        self._remembered: OrderedDict[str, tuple[ScoreRequest, Score]] = OrderedDict()
        self._max_remembered = max_remembered
        self._late_in_a_row = 0
        self.repeated = 0
        self.restarts = 0

    @property
    def memory(self) -> Memory:
        return self._reader.memory

    def score(self, body: Any) -> Score:
        """Score one request body.  Raises Refusal(422) when it is malformed."""
        request = ScoreRequest.of(read(ScoreBody, body))
        time_s = self._moment(request)
        first = self._remembered.get(request.transaction_id)
        if first is not None and first[0] == request and not self._late_in_a_row:
            self.repeated += 1
            return first[1]
        features = self._reader.extract(request, time_s)
        verdict = judge(features)
        learn(self.memory, request, time_s, features, verdict.score)
        score = Score(
            request.transaction_id,
            round(verdict.score, 4),
            verdict.action,
            verdict.hits,
            verdict.models,
            features,
            time_s,
        )
        self._remember(request, score)
        return score

    def remembered(self, transaction_id: str) -> Score | None:
        """The score of that transaction, None when it was never scored or is forgotten."""
        found = self._remembered.get(transaction_id)
        return found[1] if found is not None else None

    def _moment(self, request: ScoreRequest) -> float:
        """Event time of ``request``; without one, the latest seen.  Detects the start of a new run."""
        now_s = self.memory.pace.now_s
        if request.time_s is None:
            return max(now_s, 0.0)
        self._late_in_a_row = self._late_in_a_row + 1 if request.time_s < now_s - LATE_S else 0
        if self._late_in_a_row >= RESTART_AFTER:
            self._reader = FeatureReader(Memory(self.memory.scale))
            self._remembered.clear()
            self._late_in_a_row = 0
            self.restarts += 1
        return request.time_s

    def _remember(self, request: ScoreRequest, score: Score) -> None:
        if not request.transaction_id:
            return
        self._remembered[request.transaction_id] = (request, score)
        if len(self._remembered) > self._max_remembered:
            self._remembered.popitem(last=False)


def learn(memory: Memory, request: ScoreRequest, time_s: float, found: Features, score: float) -> None:
    """Write a scored transaction into the memory."""
    customer = memory.customers.get(request.customer)
    customer.count += 1
    customer.first_s = min(customer.first_s, time_s)
    if request.kind != "salary":
        customer.times.add(time_s)
        if request.kind == "transfer":
            customer.transfers.add(time_s)
    trusted = score < 0.5
    if trusted:
        memory.transfer_share.add(1.0 if request.kind == "transfer" else 0.0)
        usual = memory.amounts(request.kind, request.category)
        log_amount = math.log(max(request.amount, 0.01))
        customer.learn_level(request.kind, log_amount - usual.mean)
        usual.add(log_amount)
        if request.kind == "purchase" and request.category:
            memory.amounts("purchase", "").add(log_amount)
        if request.country and request.channel in PRESENT_CHANNELS:
            customer.country = request.country
    _learn_place(request, customer, time_s, found)
    _learn_device(memory, request, customer, time_s, score)
    _learn_merchant(memory, request, time_s, found, trusted)
    _learn_money(memory, request, customer, time_s, found, score)


def _learn_place(request: ScoreRequest, customer: CustomerMemory, time_s: float, found: Features) -> None:
    """An impossible journey is not believed, so the way home afterwards is not suspicious.

    Unless the last place was itself seen only once: then either of the two may be home.
    """
    if request.channel not in PRESENT_CHANNELS or request.latitude is None or request.longitude is None:
        return
    here = (request.latitude, request.longitude, time_s)
    if found.speed_kmh > AIRLINER_KMH:
        if customer.place_sightings <= 1:
            customer.place, customer.place_sightings = here, 1
    elif customer.place is None or time_s >= customer.place[2]:
        customer.place = here
        customer.place_sightings += 1


def _learn_device(
    memory: Memory, request: ScoreRequest, customer: CustomerMemory, time_s: float, score: float
) -> None:
    if not request.device or request.kind == "salary":
        return
    memory.devices.get(request.device).customers.add(request.customer, time_s)
    use = customer.devices.get(request.device)
    if customer.count > SETTLED_AFTER and score < 0.5:
        memory.new_device_share(customer.count - 1).add(1.0 if use is None else 0.0)
    if use is not None:
        if score < 0.5:
            customer.devices[request.device] = (use[0], min(use[1] + 1, 99))
    elif score < 0.8:
        if len(customer.devices) >= MAX_DEVICES_PER_CUSTOMER:
            del customer.devices[next(iter(customer.devices))]
        customer.devices[request.device] = (time_s, 0)


def _learn_merchant(
    memory: Memory, request: ScoreRequest, time_s: float, found: Features, trusted: bool
) -> None:
    if found.small_amount and found.remote and found.amount_z < PROBE_Z:
        memory.probes.add(request.customer, time_s)
        if trusted:
            memory.probes_10min.add(float(len(memory.probes)))
    if not request.merchant:
        return
    merchant = memory.merchants.get(request.merchant)
    merchant.first_s = min(merchant.first_s, time_s)
    if found.small_amount:
        merchant.small.add(request.customer, time_s)
        merchant.small_count += 1
    if trusted:
        merchant.amounts.add(math.log(max(request.amount, 0.01)))


def _learn_money(
    memory: Memory,
    request: ScoreRequest,
    customer: CustomerMemory,
    time_s: float,
    found: Features,
    score: float,
) -> None:
    account = memory.accounts.get(request.account)
    if request.kind == "deposit":
        if request.amount >= LARGE_CASH:
            account.inflows.add(time_s, request.amount)
        if request.amount < REPORTING_THRESHOLD:
            account.cash_in.add(time_s, request.amount)
            memory.deposits_2d.add(found.cash_count_2d)
        if WIDE_BAND[0] <= request.amount < WIDE_BAND[1]:
            account.cash_band.add(time_s)
    if request.is_credit:
        return
    account.outflows.add(time_s, request.amount)
    account.first_out_s = min(account.first_out_s, time_s)
    if score < 0.5:
        account.spent += request.amount
    if request.counterparty and request.counterparty != request.account:
        _learn_network(memory, request, customer, account, time_s, found, score)


def _learn_network(
    memory: Memory,
    request: ScoreRequest,
    customer: CustomerMemory,
    account: AccountMemory,
    time_s: float,
    found: Features,
    score: float,
) -> None:
    payee = memory.accounts.get(request.counterparty)
    payee.inflows.add(time_s, request.amount, request.account)
    payee.payers.add(request.account, time_s)
    account.payees.add(request.counterparty, time_s)
    inherited = max(ramp(score, 0.5, 0.9), 0.8 * found.taint)
    if inherited > 0.1:
        fresh = payee.taint if time_s - payee.taint_s < DAY_S else 0.0
        payee.taint, payee.taint_s = max(fresh, inherited), time_s
    if score < 0.5:
        memory.new_payee_share.add(0.0 if request.counterparty in customer.payees else 1.0)
        memory.payers_a_day.add(found.payers_24h)
        memory.payees_a_day.add(found.payees_24h)
    if request.counterparty not in customer.payees and score < 0.8:
        if len(customer.payees) >= MAX_PAYEES:
            del customer.payees[next(iter(customer.payees))]
        customer.payees[request.counterparty] = time_s
