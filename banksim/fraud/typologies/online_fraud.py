"""Online fraud: card-not-present purchases with stolen card data, the bulk of card fraud.

Three to six purchases of medium size at shops whose goods can be resold, from a device the
victim never used (indicative: remote purchase is 73–79 % of card fraud by channel, £154 a
case in the UK).  After two refusals in a row the thief drops the card.

Options: `amount_range` or `amounts`.
"""

from __future__ import annotations

from banksim.fraud.campaign import RESALE_CATEGORIES, Campaign
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology

PURCHASES = (3, 6)
DEARER = (1.2, 5.0)
CATEGORIES = (*RESALE_CATEGORIES, "airline", "travel_agency")
REFUSALS_TO_GIVE_UP = 2
BETWEEN_VICTIMS_S = 30 * 60.0


@typology("online_fraud", mean_size=5, min_size=1, mean_duration_s=40 * 60)
def online_fraud(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    card = campaign.victim()
    refusals = 0
    for nth in range(rng.randint(*PURCHASES)):
        at = campaign.next_moment(BETWEEN_VICTIMS_S if campaign.made and nth == 0 else None)
        merchant = campaign.online_shop(card, CATEGORIES)
        usual = wallet.usual(card, merchant.category)
        wish = usual * rng.uniform(*DEARER)
        amount = campaign.chosen_amount() or wallet.price(blended(wish, usual, campaign.sophistication))
        outcome = yield campaign.purchase(card, amount, at, merchant=merchant)
        refusals = 0 if outcome.approved else refusals + 1
        if outcome.approved:
            campaign.loot.add(card)
        elif refusals >= REFUSALS_TO_GIVE_UP:
            return
