"""Authorised push payment scam: the victim pays, believing every word.

    victim ──small──► mule    (trust: it works, the money even "grows")
    victim ──small──► mule
    victim ══LARGE══► mule ──► next mule or cash

A love story, an investment, a caller "from the bank": the payments come from the victim's
own device, at home, to a payee who became familiar by small payments.  No card was
stolen and no account taken over, so device and place say nothing; the amount against the
victim's habits and the young payee do (indicative: UK 2024, £2,420 a case).  What arrives is
soon moved on.  Where the large payment is stopped, the victim is talked into a smaller one,
to another account if the mule's was blocked.  A careful scammer builds more trust and asks
for less.

Options: `amounts` or `amount_range` for the large payment.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.laundering import less_commission
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology
from banksim.model import Planned
from banksim.world import Customer

STORY = (3, 6)
#: Trust payments, in dollar-like units (judgement), and at most this part of the large one.
TRUST_UNITS, TRUST_PART = (15.0, 120.0), 0.2
#: The large payment: a log-normal with a mean near 2,420 (indicative).
LARGE_UNITS, LARGE_SIGMA = 2000.0, 0.6
BALANCE_PART = 0.9
#: What a victim is talked into after a refusal.
SECOND_ASK = 0.5
LIKENESS = 0.5
#: How soon the money is moved on (indicative: about half has left within an hour).
MOVED_ON_S = 45 * 60.0


@typology(
    "app_scam",
    aliases=("push_payment_scam",),
    mean_size=5,
    min_size=2,
    mean_duration_s=3 * 86_400,
    victims_pay=True,
)
def app_scam(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    victim = campaign.victim(
        least_limit_cents=wallet.scaled_cents(2000), least_balance_cents=wallet.scaled_cents(2000)
    )
    crew = campaign.new_crew(2, wallet.scaled_cents(LARGE_UNITS))
    steps = campaign.story_size(2, STORY)
    onward = rng.randint(0, min(2, max(0, steps - 2)))
    large = _large(campaign, victim)
    for _ in range(steps - 1 - onward):
        small = wallet.scaled_cents(rng.uniform(*TRUST_UNITS))
        small = round(
            min(
                blended(small, wallet.usual(victim, "transfer"), LIKENESS * campaign.sophistication),
                max(1, TRUST_PART * large),
            )
        )
        yield campaign.preparation(_from_victim(campaign, victim, crew[0], small))
    planned = _from_victim(campaign, victim, crew[0], large)
    outcome = yield planned
    if not outcome.approved and campaign.left > 0:
        planned = _from_victim(campaign, victim, crew[0], round(SECOND_ASK * large))
        outcome = yield planned
    if not outcome.approved:
        return
    campaign.loot.add(victim)
    yield from _move_on(campaign, crew[0], crew[1], planned.transaction.amount_cents, onward)


def _large(campaign: Campaign, victim: Customer) -> int:
    """The large payment in cents, as far as the victim's balance and limit allow it."""
    rng, wallet = campaign.rng, campaign.wallet
    given = campaign.chosen_amount()
    if given is None:
        wish = wallet.scaled_cents(LARGE_UNITS * rng.lognormvariate(0, LARGE_SIGMA))
        given = round(blended(wish, wallet.usual(victim, "transfer"), LIKENESS * campaign.sophistication))
        given = max(given, round(TRUST_UNITS[1] / TRUST_PART) * wallet.scaled_cents(1))
        given = min(given, round(BALANCE_PART * max(1, wallet.balance(victim))))
    return max(1, min(given, round(0.95 * wallet.limit(victim))))


def _from_victim(campaign: Campaign, victim: Customer, mule: Customer, cents: int) -> Planned:
    return campaign.transfer(
        victim, mule, max(1, cents), campaign.next_moment(), device=victim.devices[0], place=victim.home
    )


def _move_on(campaign: Campaign, mule: Customer, second: Customer, cents: int, steps: int) -> Steps:
    """The mule passes the money to another; that one, or the mule itself, takes cash."""
    holder = mule
    for nth in range(steps):
        cents = less_commission(campaign, cents)
        at = campaign.next_moment(MOVED_ON_S)
        if nth == steps - 1 and cents >= 2 * campaign.wallet.notes(1):
            cash = campaign.wallet.notes(cents - campaign.wallet.notes(1) / 2)
            yield campaign.withdrawal(holder, cash, at, device=holder.devices[0], role="mule")
            return
        planned = campaign.transfer(
            holder, second, max(1, cents), at, device=holder.devices[0], place=holder.home, role="mule"
        )
        outcome = yield planned
        if not outcome.approved:
            return
        holder, cents = second, planned.transaction.amount_cents
