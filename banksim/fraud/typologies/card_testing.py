"""Card testing: small online payments with many stolen cards, to learn which still work.

One or a few devices, a handful of shops, amounts of a few dollars that are not all the
same.  About a quarter of a batch is of use (indicative: 25 % of 1,247 attempts in 21
minutes; batches of ten thousand have 5–10 %).  The bank here knows every customer's card,
so it also approves dead ones; a coin, independent of the outcome, decides which cards are worth
keeping.  A careful tester spreads over more shops, takes longer, and hides the device.

Options: `amount_range` or `amounts`.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology

LIVE_SHARE = 0.25
#: How often a card is tried twice (judgement).
SECOND_TRY_SHARE = 0.12
SHOPS = (3, 8)


@typology("card_testing", aliases=("small_probes",), mean_size=30, min_size=2, mean_duration_s=15 * 60)
def card_testing(campaign: Campaign) -> Steps:
    rng = campaign.rng
    shops = campaign.testing_shops(rng.randint(*SHOPS) + round(10 * campaign.sophistication))
    for card in campaign.stolen_cards():
        tries = 2 if rng.random() < SECOND_TRY_SHARE else 1
        live = rng.random() < LIVE_SHARE
        for _ in range(tries):
            probe = campaign.purchase(
                card, campaign.small_amount(), campaign.next_moment(), merchant=rng.choice(shops)
            )
            outcome = yield campaign.preparation(probe)
            if not outcome.approved:
                break  # a declined card is not tried again
            if live:
                campaign.loot.add(card)
