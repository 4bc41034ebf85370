"""Cards that are copied, lost, or abused by those whose they are; shops that are not what they seem.

compromised_shop      cards used at one shop are used by others days later: the shop is what they share
lost_or_stolen_card   small payments without a PIN near home, then cash, until the card is blocked
atm_cash_out          many copied cards at a few cash machines within minutes, at night
refund_abuse          the customer buys, keeps the goods and gets the money back, again and again
merchant_bust_out     a shop sells dearly to many within hours and never delivers
"""

from __future__ import annotations

from banksim.fraud.campaign import RESALE_CATEGORIES, Campaign
from banksim.fraud.money import blended
from banksim.fraud.typology import Steps, typology
from banksim.world import Customer

HOUR_S, DAY_S = 3600.0, 86_400.0
#: Contactless payments stay below this without a PIN, in dollar-like units (judgement).
TAP_UNITS = 45.0
#: Prices against the card holder's usual ones (judgement).
DEARER = (0.8, 3.0)
#: Cards that one copied shop yields, and days until they are used (judgement).
CARDS, LATER_S = (8, 20), 5 * DAY_S
MACHINES = 3


@typology("compromised_shop", mean_size=12, min_size=3, mean_duration_s=8 * DAY_S)
def compromised_shop(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    first = campaign.victim()
    shop = rng.choice(campaign.habits(first).shops)
    more = min(campaign.left, rng.randint(*CARDS)) - 1
    cards = [first, *(campaign.victim(suits=lambda c: c.home.city == shop.place.city) for _ in range(more))]
    for card in cards:  # the owners' own visits; the shop copies their cards
        at = campaign.next_moment(HOUR_S)
        usual = wallet.price(wallet.usual(card, shop.category))
        yield campaign.owners_own(
            campaign.purchase(
                card, usual, at, merchant=shop, online=False, place=shop.place, device=card.devices[0]
            )
        )
    campaign.wait_until(campaign.now_s + min(LATER_S, campaign.fair_span_s(len(cards)) / 2))
    for card in cards:
        merchant = campaign.online_shop(card)
        outcome = yield campaign.purchase(card, _price(campaign, card, merchant.category), merchant=merchant)
        if outcome.approved:
            campaign.loot.add(card)


@typology("lost_or_stolen_card", mean_size=7, min_size=2, mean_duration_s=45 * 60)
def lost_or_stolen_card(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    card = campaign.victim()
    for nth in range(rng.randint(4, 9)):
        at = campaign.next_moment(DAY_S if campaign.made and nth == 0 else None)
        shop = campaign.shop(card, card.home, at)
        price = min(
            _price(campaign, card, shop.category), wallet.scaled_cents(TAP_UNITS * rng.uniform(0.6, 1))
        )
        outcome = yield campaign.purchase(
            card,
            wallet.price(price),
            at,
            merchant=shop,
            online=False,
            place=shop.place,
            device=card.devices[0],
        )
        if not outcome.approved:
            return
        campaign.loot.add(card)
    if rng.random() < 0.5:  # the PIN was watched, or on a note
        yield campaign.withdrawal(
            card, wallet.usual(card, "withdrawal") * 2, place=card.home, device=card.devices[0]
        )


@typology("atm_cash_out", mean_size=12, min_size=3, mean_duration_s=40 * 60)
def atm_cash_out(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    least = wallet.scaled_cents(500)
    card = campaign.victim(least_balance_cents=least)
    machines = [rng.choice(campaign.habits(card).cash_machines) for _ in range(MACHINES)]
    while True:
        most = wallet.machine_most * rng.uniform(0.4, 1.0) ** (1 + campaign.sophistication)
        outcome = yield campaign.withdrawal(card, most, place=rng.choice(machines), device=card.devices[0])
        if outcome.approved:
            campaign.loot.add(card)
        card = campaign.victim(least_balance_cents=least)


@typology("refund_abuse", mean_size=6, min_size=2, mean_duration_s=20 * DAY_S)
def refund_abuse(campaign: Campaign) -> Steps:
    """The purchases are the harm: the shop loses the goods, and the money goes back."""
    buyer = campaign.accomplice()
    for _ in range(campaign.rng.randint(1, 4)):
        merchant = campaign.online_shop(buyer)
        step = campaign.purchase(
            buyer, _price(campaign, buyer, merchant.category), merchant=merchant,
            device=buyer.devices[0], place=buyer.home, role="first party",
        )  # fmt: skip
        outcome = yield step
        if not outcome.approved or campaign.left < 1:
            return
        yield campaign.deposit(buyer, step.transaction.amount_cents, cash=False, role="first party")


@typology("merchant_bust_out", mean_size=15, min_size=4, mean_duration_s=12 * HOUR_S)
def merchant_bust_out(campaign: Campaign) -> Steps:
    """The victims buy themselves, with their own devices: only the shop's sudden trade tells."""
    rng = campaign.rng
    anywhere = campaign.world.places.cities[0].place
    shop = campaign.world.merchants.pick(rng, anywhere, rng.choice(RESALE_CATEGORIES), online=True)
    for _ in range(campaign.left):
        buyer = campaign.victim()
        price = _price(campaign, buyer, shop.category)
        yield campaign.purchase(
            buyer, price, merchant=shop, device=buyer.devices[0], place=buyer.home, role="victim"
        )


def _price(campaign: Campaign, card: Customer, category: str) -> int:
    usual = campaign.wallet.usual(card, category)
    wish = usual * campaign.rng.uniform(*DEARER)
    return campaign.chosen_amount() or campaign.wallet.price(blended(wish, usual, campaign.sophistication))
