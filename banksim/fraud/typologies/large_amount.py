"""Large amount: one or two payments far above what the victim usually pays.

`amount_multiplier` times the victim's middle amount for the kind of shop, and at least
`suspicious_threshold` where one is given; of a victim whose limit and balance allow it.
A careful thief takes a smaller multiple, but never less than the threshold.

Options: `amount_multiplier` (default 10), `suspicious_threshold`, `amount_range`, `amounts`.
"""

from __future__ import annotations

from banksim.fraud.campaign import RESALE_CATEGORIES, Campaign
from banksim.fraud.typology import Steps, typology

MULTIPLIER = 10.0
SIGMA = 0.25
#: Margin above the threshold (judgement).
OVER_THRESHOLD = (1.02, 1.35)
SECOND_SHARE = 0.35
ONLINE_SHARE = 0.6
BETWEEN_VICTIMS_S = 30 * 60.0
CATEGORIES = (*RESALE_CATEGORIES, "home", "airline")


@typology("large_amount", mean_size=2, min_size=1, mean_duration_s=40 * 60)
def large_amount(campaign: Campaign) -> Steps:
    rng, wallet, options = campaign.rng, campaign.wallet, campaign.options
    floor = wallet.cents(options.suspicious_threshold) if options.suspicious_threshold else 0
    victim = campaign.victim(least_limit_cents=round(floor * 1.4), least_balance_cents=floor)
    multiplier = (options.amount_multiplier or MULTIPLIER) ** (1 - 0.4 * campaign.sophistication)
    for nth in range(2 if rng.random() < SECOND_SHARE else 1):
        at = campaign.next_moment(BETWEEN_VICTIMS_S if campaign.made and nth == 0 else None)
        online = rng.random() < ONLINE_SHARE
        place = victim.home if rng.random() < campaign.sophistication else campaign.scene.base(victim)
        if online:
            merchant = campaign.online_shop(victim, CATEGORIES)
        else:
            merchant = campaign.scene.shop(place, campaign.hour(at), RESALE_CATEGORIES)
        middle = max(wallet.median(victim, merchant.category), wallet.median(victim, "online_retail"))
        amount = campaign.chosen_amount() or wallet.price(middle * multiplier * rng.lognormvariate(0, SIGMA))
        if amount <= floor:
            amount = round(floor * rng.uniform(*OVER_THRESHOLD))
        outcome = yield campaign.purchase(
            victim,
            amount,
            at,
            merchant=merchant,
            online=online,
            place=place if online else merchant.place,
            device=None if online else victim.devices[0],
        )
        if outcome.approved:
            campaign.loot.add(victim)
        else:
            return
