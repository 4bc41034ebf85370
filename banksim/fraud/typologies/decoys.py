"""Decoys: genuine behaviour that looks like fraud, so that false positives mean something.

    holiday_trip      flight or hotel booked, then card payments far from home
    big_purchase      one payment many times the usual: a kitchen, a ring, a flight for four
    pay_day_burst     salary, then many and dear payments within hours
    landlord_fan_in   many tenants pay one account on the 1st of the month

Their label is DECOY, which counts as genuine.  The people are not accomplices, and use their own devices.
A traveller is a customer who really is away at that time by their own journeys
(`activity.journeys.Trips`), and no customer is in two cities faster than travel allows.

Not handled: the planned balances of genuine customers do not include what decoys spend.
"""

from __future__ import annotations

from datetime import UTC, datetime

from banksim.activity.calendar import is_salary_hour
from banksim.activity.journeys import TRAVEL_OVERHEAD_H, TRAVEL_SPEED_KMH
from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology
from banksim.model import Label, Place, Planned
from banksim.world import Customer, distance_km
from banksim.world.persona import load_categories

HOUR_S, DAY_S = 3600.0, 86_400.0
BOOKINGS = ("airline", "travel_agency", "hotel")
ON_HOLIDAY = ("hotel", "restaurant", "cafe", "fast_food", "taxi", "transport", "entertainment", "clothing")
#: Holiday prices and treats, against the traveller's usual payment (judgement).
HOLIDAY_DEARER = (1.0, 2.5)
HOLIDAY_CASH_SHARE = 0.15
BIG_CATEGORIES = ("electronics", "home", "jewellery", "department", "airline", "travel_agency")
#: A big purchase against the usual one (judgement).
BIG_MULTIPLE = (6.0, 25.0)
BALANCE_PART, LIMIT_PART = 0.9, 0.95
PAY_DAY_HOURS, PAY_DAY_DEARER = 8, (1.0, 2.5)
#: Tenants pay between these clock hours of the 1st.
RENT_HOURS = (6, 21)


@typology("holiday_trip", label=Label.DECOY, mean_size=6, min_size=3, mean_duration_s=3 * DAY_S)
def holiday_trip(campaign: Campaign) -> Steps:
    steps = campaign.story_size(3, (4, 9))
    now_s = campaign.next_moment()
    traveller, place, there_s, back_s = _traveller(campaign, now_s)
    away = there_s <= now_s
    yield _booking(campaign, traveller, place if away else traveller.home, now_s)
    if not away:
        campaign.wait_until(there_s + HOUR_S)
    until_s = min(back_s, campaign.now_s + campaign.fair_span_s(steps))
    for nth in range(1, steps):
        at = campaign.moment_within(until_s, steps - nth)
        if there_s <= at < back_s:
            yield _on_holiday(campaign, traveller, place, at)
        else:  # the run ends before the arrival: only book the journey
            yield _booking(campaign, traveller, traveller.home, at)


def _traveller(campaign: Campaign, now_s: float) -> tuple[Customer, Place, float, float]:
    """The traveller, the destination, and the start and end of the stay (simulated seconds)."""
    ends_s = campaign.spec.deadline_s

    def stay(customer: Customer) -> tuple[Place, float, float] | None:
        trip = campaign.journey(customer, now_s)
        if trip is None:
            return None
        leaves_s, there_s, back_s = (
            t - campaign.world.start_epoch_s for t in (trip.leaves_s, trip.arrives_s, trip.returns_s)
        )
        on_the_way = leaves_s <= now_s < there_s
        if on_the_way or there_s >= ends_s - HOUR_S or back_s <= now_s + HOUR_S:
            return None
        return trip.place, there_s, back_s

    traveller = campaign.bystander(lambda customer: stay(customer) is not None)
    found = stay(traveller)
    if found is not None:
        return traveller, *found
    # No drawn customer travels just now: take one who would not have, with the travel time it needs.
    away = campaign.world.places.destination(campaign.rng, traveller.home, campaign.rng.random() < 0.5)
    place = away or traveller.home
    way_s = (distance_km(traveller.home, place) / TRAVEL_SPEED_KMH + TRAVEL_OVERHEAD_H) * HOUR_S
    return traveller, place, now_s + way_s, ends_s + DAY_S


def _booking(campaign: Campaign, traveller: Customer, here: Place, at: float) -> Planned:
    merchant = campaign.world.merchants.pick(
        campaign.rng, traveller.home, campaign.rng.choice(BOOKINGS), online=True
    )
    price = _affordable(campaign, traveller, campaign.wallet.usual(traveller, merchant.category))
    return campaign.purchase(traveller, price, at, merchant=merchant, place=here, role="traveller")


def _on_holiday(campaign: Campaign, traveller: Customer, place: Place, at: float) -> Planned:
    rng, wallet = campaign.rng, campaign.wallet
    if rng.random() < HOLIDAY_CASH_SHARE:
        cash = min(wallet.usual(traveller, "withdrawal"), wallet.machine_most)
        return campaign.withdrawal(traveller, cash, at, place=place, role="traveller")
    merchant = campaign.scene.shop(place, campaign.hour(at), ON_HOLIDAY)
    price = wallet.usual(traveller, merchant.category) * rng.uniform(*HOLIDAY_DEARER)
    return campaign.purchase(
        traveller,
        _affordable(campaign, traveller, price),
        at,
        merchant=merchant,
        online=False,
        place=merchant.place,
        role="traveller",
    )


@typology("big_purchase", label=Label.DECOY, mean_size=1.4, min_size=1, mean_duration_s=HOUR_S)
def big_purchase(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    enough = wallet.scaled_cents(1500)
    buyer = campaign.bystander(lambda c: min(wallet.balance(c), wallet.limit(c)) >= enough)
    at = campaign.next_moment(DAY_S if campaign.made else None)
    category = rng.choice(BIG_CATEGORIES)
    in_shop = load_categories()[category].in_store and load_categories()[category].is_open(campaign.hour(at))
    if in_shop and rng.random() < 0.6:
        merchant = campaign.world.merchants.pick(rng, buyer.home, category)
    else:
        in_shop = False
        merchant = campaign.world.merchants.pick(rng, buyer.home, category, online=True)
    price = wallet.median(buyer, category) * rng.uniform(*BIG_MULTIPLE)
    yield campaign.purchase(
        buyer,
        _affordable(campaign, buyer, price),
        at,
        merchant=merchant,
        online=not in_shop,
        place=merchant.place if in_shop else buyer.home,
        role="buyer",
    )


@typology("pay_day_burst", label=Label.DECOY, mean_size=8, min_size=4, mean_duration_s=PAY_DAY_HOURS * HOUR_S)
def pay_day_burst(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    steps = campaign.story_size(4, (6, 11))
    earner = campaign.bystander()
    campaign.wait_until(_salary_hour(campaign))
    pay_s = campaign.next_moment(HOUR_S if campaign.made else None)
    if is_salary_hour(campaign.world.hour_of_week(pay_s)):
        pay = wallet.cents(campaign.habits(earner).pay_units)
        yield campaign.salary(
            earner, min(pay, round(LIMIT_PART * wallet.limit(earner))), pay_s, role="earner"
        )
    else:  # no working hour is left in the run
        yield campaign.deposit(earner, wallet.usual(earner, "deposit"), pay_s, cash=False, role="earner")
    for nth in range(1, steps):
        at = campaign.moment_within(pay_s + PAY_DAY_HOURS * HOUR_S, steps - nth)
        online = rng.random() < 0.4
        if online:
            merchant = campaign.habits(earner).regular_online_shop(rng)
        else:
            merchant = campaign.shop(earner, earner.home, at)
        price = wallet.usual(earner, merchant.category) * rng.uniform(*PAY_DAY_DEARER)
        yield campaign.purchase(
            earner,
            _affordable(campaign, earner, price),
            at,
            merchant=merchant,
            online=online,
            place=earner.home if online else merchant.place,
            role="earner",
        )


def _salary_hour(campaign: Campaign) -> float:
    """The first moment from now on at which employers pay; now, if there is none before the deadline."""
    moment_s = campaign.now_s
    while moment_s < campaign.spec.deadline_s:
        if is_salary_hour(campaign.world.hour_of_week(moment_s)):
            return moment_s
        moment_s += HOUR_S
    return campaign.now_s


@typology("landlord_fan_in", label=Label.DECOY, mean_size=9, min_size=4, mean_duration_s=12 * HOUR_S)
def landlord_fan_in(campaign: Campaign) -> Steps:
    wallet = campaign.wallet
    steps = campaign.story_size(4, (6, 14))
    landlord = campaign.bystander(lambda c: c.kyc_tier == "tier_3")
    opens_s, closes_s = _rent_day(campaign)
    campaign.wait_until(opens_s)
    for nth in range(steps):
        tenant = campaign.bystander(
            lambda c: c.index != landlord.index and wallet.balance(c) >= wallet.median(c, "rent")
        )
        rent = wallet.counted(_affordable(campaign, tenant, wallet.usual(tenant, "rent")))
        at = campaign.moment_within(closes_s, steps - nth)
        yield campaign.transfer(tenant, landlord, rent, at, role="tenant")


def _rent_day(campaign: Campaign) -> tuple[float, float]:
    """The hours of the next 1st of a month in which rents are paid.

    Without a 1st in the rest of the run, tenants pay from now on (simulated seconds).
    """
    world, now_s = campaign.world, campaign.now_s
    today = datetime.fromtimestamp(world.timestamp_s(now_s), UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    first = today
    while first.day != 1:
        first = datetime.fromtimestamp(first.timestamp() + DAY_S, UTC)
    opens_s, closes_s = (first.timestamp() - world.start_epoch_s + hour * HOUR_S for hour in RENT_HOURS)
    if opens_s < campaign.spec.deadline_s and now_s < closes_s:
        return max(now_s, opens_s), closes_s
    return now_s, now_s + (RENT_HOURS[1] - RENT_HOURS[0]) * HOUR_S


def _affordable(campaign: Campaign, customer: Customer, wanted_cents: float) -> int:
    """A price that account and limit allow; genuine people know their balance."""
    wallet = campaign.wallet
    most = min(BALANCE_PART * max(1, wallet.balance(customer)), LIMIT_PART * wallet.limit(customer))
    return wallet.price(min(wanted_cents, most))
