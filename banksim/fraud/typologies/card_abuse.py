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
from banksim.fraud.people import Suits
from banksim.fraud.typology import Steps, typology
from banksim.world import Customer

HOUR_S, DAY_S = 3600.0, 86_400.0
#: Contactless payments stay below this without a PIN, in dollar-like units (judgement).
TAP_UNITS = 45.0
#: How near the most careful comes to the owners' sums; how soon a lost card is blocked (judgement).
LIKENESS, HURRY_S = 0.5, 30 * 60.0
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
    cards = [first, *(campaign.victim(suits=_from(shop.place.city)) for _ in range(more))]
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
    taps = min(campaign.left, rng.randint(5, 9))
    start_s = campaign.next_moment(DAY_S if campaign.made else None)
    for nth in range(taps):  # however careful: the card works until its owner misses it
        at = start_s if nth == 0 else campaign.moment_within(start_s + HURRY_S, taps - nth)
        shop = campaign.shop(card, card.home, at)
        wish = wallet.scaled_cents(TAP_UNITS * rng.uniform(0.7, 1))
        price = blended(wish, wallet.usual(card, shop.category), LIKENESS * campaign.sophistication)
        outcome = yield campaign.purchase(
            card,
            wallet.price(min(price, wallet.scaled_cents(TAP_UNITS))),
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
        usual = wallet.usual(card, "withdrawal")
        cash = blended(wallet.machine_most * rng.uniform(0.3, 1), usual, LIKENESS * campaign.sophistication)
        yield campaign.withdrawal(card, cash, place=card.home, device=card.devices[0])


@typology("atm_cash_out", mean_size=12, min_size=3, mean_duration_s=40 * 60)
def atm_cash_out(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    least = wallet.scaled_cents(500)
    card = first = campaign.victim(least_balance_cents=least)
    machines = [rng.choice(campaign.habits(card).cash_machines) for _ in range(MACHINES)]
    while True:
        most = wallet.machine_most * rng.uniform(0.4, 1.0) ** (1 + campaign.sophistication)
        cash = blended(most, wallet.usual(card, "withdrawal"), LIKENESS * campaign.sophistication)
        outcome = yield campaign.withdrawal(card, cash, place=rng.choice(machines), device=card.devices[0])
        if outcome.approved:
            campaign.loot.add(card)
        # A careful gang draws where the cards come from.
        anywhere = rng.random() >= campaign.sophistication
        card = campaign.victim(0, least, _from(None if anywhere else first.home.city))


def _from(city: str | None) -> Suits:
    return lambda customer: city is None or customer.home.city == city


@typology("refund_abuse", mean_size=6, min_size=2, mean_duration_s=20 * DAY_S, aliases=("refund_fraud",))
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
        yield campaign.deposit(
            buyer, step.transaction.amount_cents, cash=False, refund=True, role="first party"
        )


@typology(
    "merchant_bust_out",
    mean_size=15,
    min_size=4,
    mean_duration_s=12 * HOUR_S,
    victims_pay=True,
    aliases=("merchant_fraud",),
)
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
