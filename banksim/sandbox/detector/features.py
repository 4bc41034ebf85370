"""Streaming features: one transaction compared with everything seen before it.

`FeatureReader.extract` reads the memory and changes nothing but event time; `model.learn` writes
the transaction into it afterwards.  Event time is the request's timestamp, which may be slightly out
of order.  There are no labels here, and nothing depends on an id's text: only on whether it was seen
before.

Counts over windows are judged by surprise (−log10 of a Poisson tail) against the pace of the
customer and of all customers, never against a fixed number, since a load test may offer in an hour
what a bank sees in a month.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field

from banksim.sandbox.detector.memory import (
    DAY_S,
    HOUR_S,
    TRANSFER_SPAN_S,
    WEEK_S,
    AccountMemory,
    CustomerMemory,
    Memory,
    ramp,
    surprise,
)

# -- A score request: types checked, words and amounts brought to one scale -------------------------
#
# Any field may be absent.  ``metadata`` is read leniently, since every client sends its own: only the
# fields below are read, and of those only values that make sense, so nothing else in it can influence
# a score.


#: Rough value of one unit in US dollars, only to bring amounts to one scale (judgement, not a rate).
SCALE_TO_USD = {"USD": 1.0, "EUR": 1.1, "GBP": 1.3, "CHF": 1.1, "CAD": 0.73, "JPY": 0.0067}
#: Other clients' words for the same kinds.
KIND_ALIASES = {"transfer_internal": "transfer", "transfer_external": "transfer", "payment": "bill_payment"}
CREDIT_KINDS = frozenset({"deposit", "salary"})
_MAX_ID_CHARS = 200


class Metadata(BaseModel):
    transaction_type: Any = None
    account_id: Any = None
    counterparty_account_id: Any = None
    device_id: Any = None
    latitude: Any = None
    longitude: Any = None


class ScoreBody(BaseModel):
    """The body of ``POST /score``; ``timestamp`` in unix seconds."""

    transaction_id: str | None = None
    cif_id: str | None = None
    amount: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    currency: str | None = None
    merchant_id: str | None = None
    merchant_category: str | None = None
    channel: str | None = None
    country: str | None = None
    timestamp: Annotated[float, Field(allow_inf_nan=False)] | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """``amount`` is in rough US dollars; ``time_s`` is event time or None; empty text means absent."""

    transaction_id: str
    customer: str
    kind: str
    amount: float
    channel: str
    country: str
    merchant: str
    category: str
    time_s: float | None
    account: str
    counterparty: str
    device: str
    latitude: float | None
    longitude: float | None

    @classmethod
    def of(cls, body: ScoreBody) -> ScoreRequest:
        more = body.metadata or Metadata()
        kind = _word(more.transaction_type).lower() or "purchase"
        account = _word(more.account_id)
        return cls(
            transaction_id=_word(body.transaction_id),
            customer=_word(body.cif_id) or account,
            kind=KIND_ALIASES.get(kind, kind),
            amount=(body.amount or 0.0) * SCALE_TO_USD.get(body.currency or "USD", 1.0),
            channel=_word(body.channel).lower(),
            country=_word(body.country).upper(),
            merchant=_word(body.merchant_id),
            category=_word(body.merchant_category).lower(),
            time_s=body.timestamp,
            account=account or _word(body.cif_id),
            counterparty=_word(more.counterparty_account_id),
            device=_word(more.device_id),
            latitude=_degrees(more.latitude, 90.0),
            longitude=_degrees(more.longitude, 180.0),
        )

    @property
    def is_credit(self) -> bool:
        return self.kind in CREDIT_KINDS


def _word(value: Any) -> str:
    return value[:_MAX_ID_CHARS] if isinstance(value, str) else ""


def _degrees(value: Any, limit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -limit <= value <= limit:
        return None
    return float(value)


PRESENT_CHANNELS = frozenset({"pos", "atm", "branch", "card"})
#: Below this many dollars a purchase may be a test of a card.
SMALL_AMOUNT = 5.0
#: Tiny compared with the usual amount in the category: standard deviations.
PROBE_Z = -0.6
#: Deposits just under the 10,000 reporting threshold.
BAND = (8_500.0, 10_000.0)
#: Repetition is looked for in this wider band.
WIDE_BAND = (6_000.0, 10_000.0)
REPORTING_THRESHOLD = 10_000.0
#: Two places nearer than this are one town.
SAME_TOWN_KM = 100.0
AIRLINER_KMH = 900.0
#: Pass-through is looked for in transfers from this many dollars on.
PASS_THROUGH_MINIMUM = 300.0
#: Own deposits count as money passing through from this many dollars on.
LARGE_CASH = 1_500.0
_WINDOWS_S = (60.0, 180.0, 600.0, 3_600.0)
_TRANSFER_WINDOWS_S = (HOUR_S, TRANSFER_SPAN_S)
SETTLED_AFTER = 3


@dataclass(slots=True)
class Features:
    """All in simulated time and rough dollars; 0 where nothing is known."""

    amount: float = 0.0
    amount_z: float = 0.0  # standard deviations above what this customer and category make likely
    count_1min: int = 0
    count_10min: int = 0
    count_1h: int = 0
    velocity_surprise: float = 0.0
    transfer_surprise: float = 0.0  # the same for transfers alone, over 1 and 6 hours
    speed_kmh: float = 0.0
    distance_km: float = 0.0
    new_country: float = 0.0
    new_device: float = 0.0  # 1 for a new device of a settled customer, scaled down where that is common
    device_customers_1h: int = 0
    new_payee: float = 0.0
    payee_age_s: float = math.inf
    small_amount: float = 0.0
    remote: float = 0.0
    merchant_small_10min: int = 0
    merchant_small_surprise: float = 0.0
    probe_surprise: float = 0.0  # tiny remote purchases by many customers anywhere
    in_band: float = 0.0
    band_deposits_7d: int = 0
    cash_in_2d: float = 0.0
    cash_count_2d: int = 0
    cash_surprise: float = 0.0
    pass_through: float = 0.0  # part of the recent inflow that would have left again
    since_inflow_s: float = math.inf
    payers_24h: int = 0
    payees_24h: int = 0
    fan_surprise: float = 0.0
    outflow_ratio: float = 0.0  # outflow of the last hour over that of an ordinary day
    taint: float = 0.0
    round_trip: float = 0.0
    customer_age_s: float = 0.0
    run_age_s: float = 0.0
    customer_count: int = 0

    def as_json(self) -> dict[str, float | None]:
        """Infinite ages ("never") become null."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {name: None if value == math.inf else value for name, value in found.items()}


class FeatureReader:
    """Reads one memory; replaced together with it."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._first_s = math.inf

    def extract(self, request: ScoreRequest, time_s: float) -> Features:
        memory = self.memory
        customer = memory.customers.get(request.customer)
        memory.pace.tick(time_s, customer)
        self._first_s = min(self._first_s, time_s)
        found = Features(amount=request.amount, customer_count=customer.count)
        found.customer_age_s = max(0.0, time_s - customer.first_s) if customer.count else 0.0
        found.run_age_s = max(0.0, time_s - self._first_s)
        self._amount(request, customer, found)
        if request.kind != "salary":
            self._velocity(request, customer, time_s, found)
        self._place(request, customer, time_s, found)
        self._device(request, customer, time_s, found)
        self._merchant(request, time_s, found)
        account = memory.accounts.get(request.account)
        if request.is_credit:
            self._cash(request, account, time_s, found)
        else:
            self._outflow(request, customer, account, time_s, found)
        return found

    # -- reading -----------------------------------------------------------------------

    def _amount(self, request: ScoreRequest, customer: CustomerMemory, found: Features) -> None:
        """Compared with others in this category and, for purchases, with all of the customer's own."""
        log_amount = math.log(max(request.amount, 0.01))
        level = customer.level(request.kind)
        usual = self.memory.amounts(request.kind, request.category)
        found.amount_z = (log_amount - usual.mean - level) / max(0.4, math.sqrt(usual.variance))
        if request.kind == "purchase" and request.category:
            any_shop = self.memory.amounts("purchase", "")
            overall = (log_amount - any_shop.mean - level) / max(0.8, math.sqrt(any_shop.variance))
            found.amount_z = (found.amount_z + overall) / 2
        found.small_amount = float(request.kind == "purchase" and request.amount <= SMALL_AMOUNT)
        found.remote = float(request.channel not in PRESENT_CHANNELS)

    def _velocity(
        self, request: ScoreRequest, customer: CustomerMemory, time_s: float, found: Features
    ) -> None:
        times = customer.times
        counts = [times.count(time_s, window_s) + 1 for window_s in _WINDOWS_S]
        found.count_1min, _, found.count_10min, found.count_1h = counts
        transfers = [0, 0]
        if request.kind == "transfer":
            transfers = [customer.transfers.count(time_s, window_s) + 1 for window_s in _TRANSFER_WINDOWS_S]
        if found.count_1h < 3 and transfers[1] < 3:
            return
        ordinary = self.memory.pace.of_others(found.count_1h)
        older = max(0, customer.count + 1 - found.count_1h)
        own = (older + 3) / (found.customer_age_s + 3 / ordinary)
        pace = max(own, ordinary)
        found.velocity_surprise = max(
            (
                surprise(count, pace * window_s)
                for count, window_s in zip(counts, _WINDOWS_S, strict=True)
                if count >= 3
                and (window_s < HOUR_S or found.count_10min > 1)  # a burst that ended long ago does not count
            ),
            default=0.0,
        )
        pace *= max(0.01, self.memory.transfer_share.mean)
        found.transfer_surprise = max(
            (
                surprise(count, pace * window_s)
                for count, window_s in zip(transfers, _TRANSFER_WINDOWS_S, strict=True)
                if count >= 3
            ),
            default=0.0,
        )

    def _place(self, request: ScoreRequest, customer: CustomerMemory, time_s: float, found: Features) -> None:
        if request.country and customer.country and request.country != customer.country:
            found.new_country = 1.0
        if request.channel not in PRESENT_CHANNELS or request.latitude is None or request.longitude is None:
            return
        if customer.place is None:
            return
        latitude, longitude, seen_s = customer.place
        distance_km = _distance_km(latitude, longitude, request.latitude, request.longitude)
        found.distance_km = distance_km
        if distance_km > SAME_TOWN_KM:
            hours = max(abs(time_s - seen_s), 60.0) / HOUR_S
            found.speed_kmh = distance_km / hours

    def _device(
        self, request: ScoreRequest, customer: CustomerMemory, time_s: float, found: Features
    ) -> None:
        if not request.device or request.kind == "salary":
            return
        device = self.memory.devices.get(request.device)
        found.device_customers_1h = device.customers.count_with(request.customer, time_s)
        since_s, quiet_uses = customer.devices.get(request.device, (time_s, 0))
        if since_s > customer.first_s and customer.count >= SETTLED_AFTER:
            settled = ramp(customer.count, SETTLED_AFTER - 1, SETTLED_AFTER + 4)
            fresh = (1.0 - ramp(time_s - since_s, 6 * HOUR_S, DAY_S)) / (1.0 + 0.5 * quiet_uses)
            share = max(0.001, self.memory.new_device_share(customer.count).mean)
            found.new_device = settled * fresh * ramp(-math.log10(share), 1.1, 2.1)

    def _merchant(self, request: ScoreRequest, time_s: float, found: Features) -> None:
        if not found.small_amount:
            return
        if found.remote and found.amount_z < PROBE_Z:
            wave = self.memory.probes.count_with(request.customer, time_s)
            found.probe_surprise = surprise(wave, max(0.5, self.memory.probes_10min.mean))
        if not request.merchant:
            return
        merchant = self.memory.merchants.get(request.merchant)
        found.merchant_small_10min = merchant.small.count_with(request.customer, time_s)
        unusual = merchant.amounts.mean - math.log(max(request.amount, 0.01))
        if found.merchant_small_10min < 3 or unusual < 0.7:
            return
        age_s = max(DAY_S / 4, time_s - merchant.first_s) if merchant.small_count else DAY_S / 4
        older = max(0, merchant.small_count + 1 - found.merchant_small_10min)
        found.merchant_small_surprise = surprise(
            found.merchant_small_10min, max((older + 1) / age_s * 600.0, 0.05)
        )

    def _cash(self, request: ScoreRequest, account: AccountMemory, time_s: float, found: Features) -> None:
        if request.kind != "deposit":
            return
        found.in_band = float(BAND[0] <= request.amount < BAND[1])
        if WIDE_BAND[0] <= request.amount < WIDE_BAND[1]:
            found.band_deposits_7d = account.cash_band.count(time_s, WEEK_S) + 1
        if request.amount < REPORTING_THRESHOLD:
            total, count, _ = account.cash_in.total(time_s, 2 * DAY_S)
            found.cash_in_2d, found.cash_count_2d = total + request.amount, count + 1
            found.cash_surprise = surprise(count + 1, max(0.5, self.memory.deposits_2d.mean))

    def _outflow(
        self,
        request: ScoreRequest,
        customer: CustomerMemory,
        account: AccountMemory,
        time_s: float,
        found: Features,
    ) -> None:
        amount = request.amount
        received, _, newest_s = account.inflows.total(time_s, 2 * DAY_S)
        if time_s - account.taint_s < DAY_S and amount >= 0.15 * received:
            found.taint = account.taint
        if received >= PASS_THROUGH_MINIMUM and request.kind in ("transfer", "withdrawal"):
            sent, _, _ = account.outflows.total(time_s, 2 * DAY_S)
            if amount >= 0.15 * received:
                found.pass_through = (sent + amount) / received
                found.since_inflow_s = time_s - newest_s
        hour_out, _, _ = account.outflows.total(time_s, HOUR_S)
        age_days = max(1.0, (time_s - account.first_out_s) / DAY_S) if account.spent else 1.0
        if customer.count >= 5:
            found.outflow_ratio = (hour_out + amount) / max(50.0, account.spent / age_days)
        if request.counterparty and request.counterparty != request.account:
            self._network(request, customer, account, time_s, found)

    def _network(
        self,
        request: ScoreRequest,
        customer: CustomerMemory,
        account: AccountMemory,
        time_s: float,
        found: Features,
    ) -> None:
        memory = self.memory
        first_paid_s = customer.payees.get(request.counterparty)
        if first_paid_s is None:
            found.new_payee = max(0.0, 1.0 - memory.new_payee_share.mean)
        else:
            found.payee_age_s = max(0.0, time_s - first_paid_s)
        payee = memory.accounts.get(request.counterparty)
        found.payers_24h = payee.payers.count_with(request.account, time_s)
        found.payees_24h = account.payees.count_with(request.counterparty, time_s)
        found.fan_surprise = max(
            surprise(found.payers_24h, max(0.5, memory.payers_a_day.mean)) if found.payers_24h >= 4 else 0.0,
            surprise(found.payees_24h, max(0.5, memory.payees_a_day.mean)) if found.payees_24h >= 4 else 0.0,
        )
        sent_here = account.inflows.paid_by(request.counterparty, time_s, DAY_S)
        if sent_here >= PASS_THROUGH_MINIMUM and 0.8 <= request.amount / sent_here <= 1.05:
            found.round_trip = 1.0


def _distance_km(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Great circle (haversine) on a sphere of 6,371 km."""
    phi, to_phi = math.radians(latitude), math.radians(to_latitude)
    half_turn = math.sin(math.radians(to_longitude - longitude) / 2) ** 2
    chord = math.sin((to_phi - phi) / 2) ** 2 + math.cos(phi) * math.cos(to_phi) * half_turn
    return 12_742.0 * math.asin(math.sqrt(min(1.0, chord)))
