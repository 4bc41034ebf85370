"""Unusual location: a cloned card is used where the card holder cannot be.

The card holder pays in a shop of their own city: a genuine payment, which the campaign only
places.  Then the clone pays once or twice, at least `location_jump_km` away and so soon that the
journey would need more than 900 km/h, the speed of an airliner.  The gap is within
`time_window_hours`.  A careful thief pays what the victim would, goes less far and waits longer, up to
a drive's time, unless the scenario sets the distance or the window: those hold at any sophistication.

Options: `location_jump_km` (default 1,000), `time_window_hours` (1), `amount_range`, `amounts`.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology
from banksim.model import Place, Planned
from banksim.world import Customer, distance_km
from banksim.world.places import CITY_RADIUS_KM

AIRLINER_KMH = 900.0
JUMP_KM = 1000.0
WINDOW_HOURS = 1.0
#: What the most careful thief makes of the distance, the speed and the window (judgement): in the region,
#: whenever within ten days, as a traveller might.
CAREFUL_KM, CAREFUL_KMH, CAREFUL_HOURS = 150.0, 6.0, 240.0
THIRD_SHARE = 0.3
DEARER = (1.0, 5.0)
BETWEEN_VICTIMS_S = 60 * 60.0


@typology("unusual_location", mean_size=1.3, min_size=1, mean_duration_s=90 * 60)
def unusual_location(campaign: Campaign) -> Steps:
    rng, options = campaign.rng, campaign.options
    card = campaign.victim()
    is_set = options.location_jump_km is not None or options.time_window_hours is not None
    care = 0.0 if is_set else campaign.sophistication
    jump_km = options.location_jump_km or _between(JUMP_KM, CAREFUL_KM, care)
    at = campaign.next_moment(BETWEEN_VICTIMS_S if campaign.made else None)
    home_step = _card_present(campaign, card, card.home, at)
    here = home_step.transaction.place
    away_in = campaign.scene.far_place(here, jump_km)
    yield campaign.owners_own(home_step)
    window_s = (options.time_window_hours or _between(WINDOW_HOURS, CAREFUL_HOURS, care)) * 3600
    way_s = _shortest_km(here, away_in) / _between(AIRLINER_KMH, CAREFUL_KMH, care) * 3600
    at = campaign.moment_within(at + 0.9 * min(window_s, way_s), 1)
    for nth in range(2 if rng.random() < THIRD_SHARE else 1):
        if nth:
            at = campaign.next_moment(15 * 60.0)
        outcome = yield _card_present(campaign, card, away_in, at)
        if not outcome.approved:
            return
        campaign.loot.add(card)


def _between(crude: float, careful: float, care: float) -> float:
    """From ``crude`` at a care of 0 to ``careful`` at 1, by equal factors."""
    between: float = crude * (careful / crude) ** care
    return between


def _card_present(campaign: Campaign, card: Customer, place: Place, at: float) -> Planned:
    """A payment in a shop of that city; the clone has no device, so the bank records the owner's."""
    merchant = campaign.shop(card, place, at)
    usual = campaign.wallet.usual(card, merchant.category)
    wish = usual * (1.0 if place == card.home else campaign.rng.uniform(*DEARER))
    amount = campaign.chosen_amount() or campaign.wallet.price(blended(wish, usual, campaign.sophistication))
    return campaign.purchase(
        card, amount, at, merchant=merchant, online=False, device=card.devices[0], place=merchant.place
    )


def _shortest_km(here: Place, city: Place) -> float:
    """The shortest possible distance to a shop of ``city``."""
    return max(0.0, distance_km(here, city) - CITY_RADIUS_KM)
