"""Scams by what the victim believes: every payment is their own, from their own device, at home.

    purchase_scam        goods that never come: one payment, sometimes a second for "shipping"
    impersonation_scam   "your bank here, move your money to a safe account": all of it, within the hour
    invoice_scam         the usual supplier's invoice with another account number
    romance_scam         months of growing gifts to one person
    investment_scam      growing stakes at a crypto exchange, from where the money cannot be fetched back

What is shared: a refused victim is talked into half the sum, once.  Mules pass on what they got as in
`app_scam`, which stands for all of them where a scenario does not care.

Sources: UK 2024 (indicative): purchase scams are 7 of 10 cases, investment scams £18,600 a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from banksim.fraud.campaign import Campaign
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology
from banksim.model import Planned
from banksim.world import Customer

DAY_S = 86_400.0
#: How far a careful scammer goes towards the victim's usual transfers.
LIKENESS = 0.5
SECOND_ASK = 0.5
#: The most of the balance that is asked for.
BALANCE_PART, LIMIT_PART = 0.9, 0.95
#: Nothing less is asked for, in dollar-like units.
LEAST_UNITS = 5.0


@dataclass(frozen=True, slots=True)
class Story:
    """Payments of one story, fewest and most; the first one's median in dollar-like units and sigma;

    by how much each one grows; how many of them are for trust; what part of the balance all of them may be.
    """

    payments: tuple[int, int]
    first_units: float
    sigma: float
    growth: float = 1.0
    trust: int = 0
    at_exchange: bool = False


PURCHASE = Story((1, 2), 130.0, 0.9, growth=0.3)
INVOICE = Story((1, 2), 1500.0, 0.9)
ROMANCE = Story((6, 12), 90.0, 0.6, growth=1.35, trust=1)
INVESTMENT = Story((4, 8), 250.0, 0.6, growth=1.9, trust=1, at_exchange=True)


@typology("purchase_scam", mean_size=1.5, min_size=1, mean_duration_s=2 * DAY_S, victims_pay=True)
def purchase_scam(campaign: Campaign) -> Steps:
    yield from _story(campaign, PURCHASE, campaign.victim())


@typology("invoice_scam", mean_size=1.5, min_size=1, mean_duration_s=2 * DAY_S, victims_pay=True)
def invoice_scam(campaign: Campaign) -> Steps:
    least = campaign.wallet.scaled_cents(1500)
    yield from _story(campaign, INVOICE, campaign.victim(least, least))


@typology("romance_scam", mean_size=9, min_size=3, mean_duration_s=60 * DAY_S, victims_pay=True)
def romance_scam(campaign: Campaign) -> Steps:
    yield from _story(campaign, ROMANCE, campaign.victim(0, campaign.wallet.scaled_cents(1000)))


@typology("investment_scam", mean_size=6, min_size=3, mean_duration_s=30 * DAY_S, victims_pay=True)
def investment_scam(campaign: Campaign) -> Steps:
    least = campaign.wallet.scaled_cents(2000)
    yield from _story(campaign, INVESTMENT, campaign.victim(least, least))


@typology("impersonation_scam", mean_size=3, min_size=1, mean_duration_s=60 * 60, victims_pay=True)
def impersonation_scam(campaign: Campaign) -> Steps:
    """The account is emptied in parts that pass the bank's limit."""
    rng, wallet = campaign.rng, campaign.wallet
    victim = campaign.victim(0, wallet.scaled_cents(1000))
    mule = campaign.new_crew(1)[0]
    left = round(wallet.balance(victim) * rng.uniform(0.6, 0.95))
    for nth in range(rng.randint(1, 4)):
        part = min(left, round(LIMIT_PART * wallet.limit(victim) * rng.uniform(0.5, 1)))
        least = wallet.scaled_cents(LEAST_UNITS)
        if part < least and nth > 0:
            return
        outcome = yield _pay(
            campaign, victim, mule, max(part, least), campaign.next_moment(None if nth else DAY_S)
        )
        if not outcome.approved:
            return
        campaign.loot.add(victim)
        left -= part


def _story(campaign: Campaign, story: Story, victim: Customer) -> Steps:
    """The payments of a story, which ends when the victim has no more or is refused twice."""
    mule = campaign.new_crew(1)[0]
    refused, cents = False, 0
    for nth, wish in enumerate(_sums(campaign, story, victim)):
        most = round(BALANCE_PART * campaign.wallet.balance(victim))
        cents = min(round(cents * SECOND_ASK) if refused else wish, most)
        least = campaign.wallet.scaled_cents(LEAST_UNITS)
        if cents < least and nth > 0:
            return
        cents = max(cents, least)
        step = _pay(campaign, victim, mule, cents, campaign.next_moment(), at_exchange=story.at_exchange)
        outcome = yield campaign.preparation(step) if nth < story.trust else step
        if not outcome.approved and refused:
            return
        refused = not outcome.approved
        if outcome.approved:
            campaign.loot.add(victim)


def _sums(campaign: Campaign, story: Story, victim: Customer) -> Iterator[int]:
    rng, wallet = campaign.rng, campaign.wallet
    wish = story.first_units * rng.lognormvariate(0, story.sigma)
    for _ in range(rng.randint(*story.payments)):
        usual = wallet.usual(victim, "transfer")
        given = campaign.chosen_amount()
        sum_cents = blended(wallet.scaled_cents(wish), usual, LIKENESS * campaign.sophistication)
        yield given or max(1, round(min(sum_cents, LIMIT_PART * wallet.limit(victim))))
        wish *= story.growth * rng.uniform(0.8, 1.2)


def _pay(
    campaign: Campaign, victim: Customer, mule: Customer, cents: int, at: float, at_exchange: bool = False
) -> Planned:
    device, home = victim.devices[0], victim.home
    if not at_exchange:
        return campaign.transfer(victim, mule, cents, at, device=device, place=home)
    exchange = campaign.world.merchants.pick(campaign.rng, home, "crypto_exchange", online=True)
    return campaign.purchase(
        victim, campaign.wallet.written(cents), at, merchant=exchange, device=device, place=home
    )
