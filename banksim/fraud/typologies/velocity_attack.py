"""Velocity attack: one card at many shops, as fast as they accept it.

A burst of `transaction_burst` payments within `time_window_seconds` (÷ intensity), then
the next card.  After five refusals in a row the thief drops the card.

Options: `transaction_burst` (default about 15; also the usual size of a campaign),
`time_window_seconds` (300), `amount_range` or `amounts`.
"""

from __future__ import annotations

from banksim.fraud.campaign import RESALE_CATEGORIES, Campaign
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology

BURST = 15
WINDOW_S = 300.0
BETWEEN_CARDS_S = 10 * 60.0
REFUSALS_TO_GIVE_UP = 5
#: Price of a thief's purchase against the victim's usual one (judgement).
DEARER = (0.5, 3.0)


@typology(
    "velocity_attack", mean_size=BURST, min_size=3, mean_duration_s=WINDOW_S, size_option="transaction_burst"
)
def velocity_attack(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    card = campaign.victim()
    device, place = campaign.device(card), campaign.scene.base(card)
    window_s = (campaign.options.time_window_seconds or WINDOW_S) / campaign.intensity
    burst = min(campaign.left, campaign.options.transaction_burst or BURST)
    start_s = campaign.next_moment(BETWEEN_CARDS_S if campaign.made else None)
    refusals = 0
    for nth in range(burst):
        at = start_s if nth == 0 else campaign.moment_within(start_s + window_s, burst - nth)
        merchant = campaign.online_shop(card, RESALE_CATEGORIES)
        usual = wallet.usual(card, merchant.category)
        wish = usual * rng.uniform(*DEARER)
        amount = campaign.chosen_amount() or wallet.price(blended(wish, usual, campaign.sophistication))
        outcome = yield campaign.purchase(card, amount, at, merchant=merchant, device=device, place=place)
        refusals = 0 if outcome.approved else refusals + 1
        if outcome.approved:
            campaign.loot.add(card)
        elif refusals >= REFUSALS_TO_GIVE_UP:
            return
