"""Decoys of every day that look like laundering, a stolen card or a taken account, for good reasons.

payroll              a small business pays its staff one evening
club_treasurer       members pay their fee, the treasurer pays the invoice with it
marketplace_seller   strangers pay for what somebody sells
remittance           the salary comes, and most of it goes to the family at once
cash_takings         a small business pays in what it took, in sums of thousands
errands              a handful of small payments near home within half an hour
returned_goods       something bought online goes back, and so does the money
new_phone            a large payment to somebody new from a device nobody has seen
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology
from banksim.model import Label
from banksim.world import Customer
from banksim.world.random import opaque_id

HOUR_S, DAY_S = 3600.0, 86_400.0
WAGE_UNITS = (300.0, 1400.0)
FEE_UNITS = (15, 20, 25, 30, 40, 50, 60)
SOLD_UNITS, SOLD_SIGMA = 35.0, 0.8
SENT_PART = (0.4, 0.8)
TAKINGS_UNITS, ERRANDS_S = (900.0, 5500.0), 40 * 60.0
#: What somebody who moves pays for the flat at once, in dollar-like units (judgement).
MOVING_UNITS = (500.0, 2500.0)


@typology("payroll", label=Label.DECOY, mean_size=8, min_size=3, mean_duration_s=2 * HOUR_S)
def payroll(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    least = wallet.scaled_cents(4 * WAGE_UNITS[1])
    boss = campaign.bystander(lambda c: c.persona == "small_business" and wallet.balance(c) >= least)
    for _ in range(min(campaign.left, rng.randint(4, 12))):
        wage = wallet.scaled_cents(rng.uniform(*WAGE_UNITS))
        outcome = yield campaign.transfer(
            boss, campaign.bystander(), min(wage, _most(campaign, boss)), role="employer"
        )
        if not outcome.approved:
            return


@typology("club_treasurer", label=Label.DECOY, mean_size=9, min_size=3, mean_duration_s=3 * DAY_S)
def club_treasurer(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    treasurer = campaign.bystander()
    fee, collected = wallet.scaled_cents(rng.choice(FEE_UNITS)), 0
    for _ in range(max(1, min(campaign.left, rng.randint(6, 14)) - 1)):
        member = campaign.bystander(lambda c: wallet.balance(c) > fee)
        outcome = yield campaign.transfer(member, treasurer, fee, role="member")
        collected += fee if outcome.approved else 0
    if collected and campaign.left:
        paid = min(round(0.9 * collected), _most(campaign, treasurer))
        yield campaign.transfer(treasurer, campaign.bystander(), paid, role="treasurer")


@typology("marketplace_seller", label=Label.DECOY, mean_size=6, min_size=2, mean_duration_s=5 * DAY_S)
def marketplace_seller(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    seller = campaign.bystander()
    for _ in range(min(campaign.left, rng.randint(3, 9))):
        price = wallet.scaled_cents(SOLD_UNITS * rng.lognormvariate(0, SOLD_SIGMA))
        buyer = campaign.bystander(lambda c, price=price: wallet.balance(c) > price)  # type: ignore[misc]
        yield campaign.transfer(buyer, seller, min(price, _most(campaign, buyer)), role="buyer")


@typology("remittance", label=Label.DECOY, mean_size=3, min_size=2, mean_duration_s=2 * HOUR_S)
def remittance(campaign: Campaign) -> Steps:
    rng = campaign.rng
    sender = campaign.bystander(lambda c: c.persona == "salaried")
    income = round(campaign.habits(sender).pay_units * 100)
    at = campaign.next_moment()
    yield campaign.salary(sender, max(1, income), at, role="sender")
    left = round(income * rng.uniform(*SENT_PART))
    for part in (0.6, 0.4)[: max(1, min(2, campaign.left))]:
        sent = min(round(left * part), _most(campaign, sender))
        yield campaign.transfer(sender, campaign.bystander(), max(1, sent), role="sender")


@typology("cash_takings", label=Label.DECOY, mean_size=4, min_size=2, mean_duration_s=6 * DAY_S)
def cash_takings(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    most = wallet.scaled_cents(TAKINGS_UNITS[1])
    trader = campaign.bystander(lambda c: c.persona == "small_business" and wallet.limit(c) > most)
    for _ in range(min(campaign.left, rng.randint(2, 6))):
        yield campaign.deposit(
            trader, wallet.counted(wallet.scaled_cents(rng.uniform(*TAKINGS_UNITS))), role="trader"
        )


@typology("errands", label=Label.DECOY, mean_size=6, min_size=3, mean_duration_s=ERRANDS_S)
def errands(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    shopper = campaign.bystander()
    stops = min(campaign.left, rng.randint(4, 8))
    start_s = campaign.next_moment(DAY_S if campaign.made else None)
    for nth in range(stops):
        at = start_s if nth == 0 else campaign.moment_within(start_s + ERRANDS_S, stops - nth)
        shop = campaign.shop(shopper, shopper.home, at)
        price = min(wallet.usual(shopper, shop.category), _most(campaign, shopper))
        yield campaign.purchase(
            shopper, wallet.price(price), at, merchant=shop, online=False, place=shop.place,
            device=shopper.devices[0], role="shopper",
        )  # fmt: skip


@typology("returned_goods", label=Label.DECOY, mean_size=2, min_size=2, mean_duration_s=5 * DAY_S)
def returned_goods(campaign: Campaign) -> Steps:
    buyer = campaign.bystander()
    shop = campaign.online_shop(buyer)
    price = min(campaign.wallet.usual(buyer, shop.category), _most(campaign, buyer))
    paid = campaign.purchase(
        buyer, campaign.wallet.price(price), merchant=shop, place=buyer.home, role="buyer"
    )
    outcome = yield paid
    if outcome.approved and campaign.left:
        yield campaign.deposit(buyer, paid.transaction.amount_cents, cash=False, refund=True, role="buyer")


@typology("new_phone", label=Label.DECOY, mean_size=2, min_size=1, mean_duration_s=HOUR_S)
def new_phone(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    phone = opaque_id(rng)
    mover = campaign.bystander(lambda c: wallet.balance(c) > wallet.scaled_cents(MOVING_UNITS[0]))
    landlord = campaign.bystander()
    for _ in range(min(campaign.left, rng.randint(1, 3))):
        wish = wallet.written(wallet.scaled_cents(rng.uniform(*MOVING_UNITS)))
        yield campaign.transfer(
            mover, landlord, min(wish, _most(campaign, mover)), device=phone, role="mover"
        )


def _most(campaign: Campaign, payer: Customer) -> int:
    """What the payer can and may send at once."""
    return max(1, round(0.95 * min(campaign.wallet.limit(payer), campaign.wallet.balance(payer))))
