"""The detector's model: scores a transaction, then writes it into the memory.

Suspicious transactions teach no habits (amounts, home, common behaviour), only counts, so an attack
does not become normal by being repeated.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
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
    MAX_DEVICES_PER_CUSTOMER,
    MAX_PAYEES,
    AccountMemory,
    CustomerMemory,
    Memory,
    ramp,
)
from banksim.sandbox.detector.rules import judge
from banksim.sandbox.http import read

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
