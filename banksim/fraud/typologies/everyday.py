"""Decoys that look like laundering: many payments in or out of one account, for good reasons.

payroll              a small business pays its staff one evening
club_treasurer       members pay their fee, the treasurer pays the invoice with it
marketplace_seller   strangers pay for what somebody sells
remittance           the salary comes, and most of it goes to the family at once
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology
from banksim.model import Label
from banksim.world import Customer

HOUR_S, DAY_S = 3600.0, 86_400.0
WAGE_UNITS = (300.0, 1400.0)
FEE_UNITS = (15, 20, 25, 30, 40, 50, 60)
SOLD_UNITS, SOLD_SIGMA = 35.0, 0.8
SENT_PART = (0.4, 0.8)


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


def _most(campaign: Campaign, payer: Customer) -> int:
    """What the payer can and may send at once."""
    return max(1, round(0.95 * min(campaign.wallet.limit(payer), campaign.wallet.balance(payer))))
