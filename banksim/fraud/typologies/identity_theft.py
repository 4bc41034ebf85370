"""Identity theft: an account used in a stolen name: a little history, then everything out.

The thief acts as an exposed customer of the bank: a deposit or two and a few ordinary
purchases, so that the account looks alive; then a larger sum comes in (a loan, a bad
cheque), and at once the money leaves in cash and to an accomplice.  About half of the
steps are history; a careful thief builds more of it.

Not handled: applications in a stolen name before the account exists; the bank's
onboarding has its own refusals.

Options: `amounts` or `amount_range` for the larger sum.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology
from banksim.world import Customer

STEPS = (5, 9)
#: The larger sum, in monthly incomes (judgement).
SUM_INCOMES = (0.8, 2.5)
#: Part of the larger sum that leaves again.
OUT_PART = (0.85, 0.97)
SMALLEST_STORY = 3
HISTORY_GAP_S = 90 * 60.0


@typology("identity_theft", mean_size=7, min_size=SMALLEST_STORY, mean_duration_s=8 * 3600)
def identity_theft(campaign: Campaign) -> Steps:
    rng, wallet = campaign.rng, campaign.wallet
    person = campaign.victim()
    device = campaign.device(person)
    steps = min(campaign.left, rng.randint(*STEPS))
    history = max(0, round((steps - 2) * (0.45 + 0.2 * campaign.sophistication)))
    for nth in range(history):
        at = campaign.next_moment(HISTORY_GAP_S)
        if nth == 0:
            yield campaign.deposit(
                person, wallet.usual(person, "deposit"), at, cash=False, device=device, role="stolen identity"
            )
        else:
            merchant = campaign.online_shop(person)
            price = wallet.price(wallet.usual(person, merchant.category))
            yield campaign.preparation(
                campaign.purchase(
                    person,
                    price,
                    at,
                    merchant=merchant,
                    device=device,
                    place=person.home,
                    role="stolen identity",
                )
            )
    money = wallet.capped(person, campaign.chosen_amount() or person.income_cents * rng.uniform(*SUM_INCOMES))
    if steps > 1:
        at = campaign.next_moment(HISTORY_GAP_S)
        outcome = yield campaign.deposit(person, money, at, cash=False, device=device, role="stolen identity")
        if not outcome.approved:
            money = round(0.9 * max(1, min(money, wallet.balance(person))))
    yield from _cash_out(campaign, person, device, money, max(1, steps - history - 1))


def _cash_out(campaign: Campaign, person: Customer, device: str, money: int, steps: int) -> Steps:
    """The sum leaves: a transfer of what cash machines would not give, then cash."""
    rng, wallet = campaign.rng, campaign.wallet
    left = round(money * rng.uniform(*OUT_PART))
    payee = campaign.accomplice()
    for nth in range(steps):
        if left <= 0:
            return
        if nth == 0 or steps - nth == 1:
            part = left if steps - nth == 1 else round(left * rng.uniform(0.5, 0.8))
            planned = campaign.transfer(
                person, payee, part, campaign.next_moment(), device=device, role="stolen identity"
            )
        else:
            cash = min(left, wallet.usual(person, "withdrawal") * 3)
            planned = campaign.withdrawal(
                person, cash, campaign.next_moment(), device=device, role="stolen identity"
            )
        outcome = yield planned
        if outcome.approved:
            left -= planned.transaction.amount_cents
            campaign.loot.add(person)
