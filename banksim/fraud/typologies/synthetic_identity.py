"""Synthetic identity: an invented person is a good customer for months, then busts out.

    pay, groceries, bills …  (history: most of the time)          │ bust-out: everything at once
    ·   ·  ·    ·   ·  ·   ·    ·  ·   ·   ·     ·   ·  ·   ·   · │ ■■■■■
    start                                                 85–95 % of the time       end

There is no real owner who could complain: name, papers and device are the fraudster's own, so
no victim's habits change and no foreign device appears.  Only the end gives it away:
purchases, cash and a transfer that take the whole balance within hours, far above anything
before.  It takes three months if the run is long enough; in a shorter one history and bust-out
shrink with it.  A careful fraudster builds more history and takes the money in smaller parts.

Not handled: loans and overdrafts, which a real bust-out would also draw.

Options: `amounts` or `amount_range` for the single payments of the bust-out.
"""

from __future__ import annotations

from banksim.fraud.campaign import RESALE_CATEGORIES, Campaign
from banksim.fraud.money import random_parts
from banksim.fraud.typology import Steps, typology
from banksim.model import INVENTED
from banksim.world import Customer

STORY = (14, 28)
SMALLEST_STORY = 8
HISTORY_PART = (0.65, 0.8)
#: When the history is over, as a part of the story's time.
TURNING_POINT = (0.85, 0.95)
PAY_EVERY = 5
#: Part of the balance the bust-out takes.
TAKEN = (0.85, 0.97)
#: Minutes between the steps of the bust-out (judgement).
RUSH_S = 25 * 60.0
MONTHS_S = 90 * 86_400.0


@typology(
    "synthetic_identity",
    aliases=("bust_out",),
    mean_size=20,
    min_size=SMALLEST_STORY,
    mean_duration_s=MONTHS_S,
)
def synthetic_identity(campaign: Campaign) -> Steps:
    rng = campaign.rng
    person = campaign.accomplice(least_balance_cents=campaign.wallet.scaled_cents(2000))
    steps = campaign.story_size(SMALLEST_STORY, STORY)
    part = min(0.9, rng.uniform(*HISTORY_PART) + 0.1 * campaign.sophistication)
    history = min(steps - 1, round(steps * part))
    turning_s = campaign.now_s + campaign.fair_span_s(steps) * rng.uniform(*TURNING_POINT)
    yield from _history(campaign, person, history, turning_s)
    if campaign.made:
        campaign.wait_until(turning_s)
    yield from _bust_out(campaign, person, max(1, steps - history))


def _history(campaign: Campaign, person: Customer, steps: int, until_s: float) -> Steps:
    """The life of a good customer: money comes in, and small payments go out."""
    wallet, role = campaign.wallet, INVENTED
    for nth in range(steps):
        at = campaign.moment_within(until_s, steps - nth)
        if nth % PAY_EVERY == 0:
            yield campaign.deposit(person, wallet.usual(person, "deposit"), at, cash=False, role=role)
            continue
        online = campaign.rng.random() < 0.4
        if online:
            merchant = campaign.habits(person).regular_online_shop(campaign.rng)
        else:
            merchant = campaign.shop(person, person.home, at)
        yield campaign.purchase(
            person,
            wallet.price(wallet.usual(person, merchant.category)),
            at,
            merchant=merchant,
            online=online,
            device=person.devices[0],
            place=person.home if online else merchant.place,
            role=role,
        )


def _bust_out(campaign: Campaign, person: Customer, steps: int) -> Steps:
    """The balance leaves in goods and cash, the last of it to an accomplice."""
    rng, wallet, role = campaign.rng, campaign.wallet, "bust-out"
    total = max(steps, round(max(1, wallet.balance(person)) * rng.uniform(*TAKEN)))
    for nth, part in enumerate(random_parts(total, steps, rng)):
        cents = min(campaign.chosen_amount() or part, round(0.95 * wallet.limit(person)))
        at, device = campaign.next_moment(RUSH_S), person.devices[0]
        if nth == steps - 1:
            payee = campaign.accomplice()
            planned = campaign.transfer(person, payee, cents, at, device=device, place=person.home, role=role)
        elif nth % 3 == 2:
            planned = campaign.withdrawal(person, cents, at, device=device, role=role)
        else:
            shop = campaign.online_shop(person, RESALE_CATEGORIES)
            planned = campaign.purchase(
                person, wallet.price(cents), at, merchant=shop, device=device, place=person.home, role=role
            )
        outcome = yield planned
        if outcome.approved:
            campaign.loot.add(person)
