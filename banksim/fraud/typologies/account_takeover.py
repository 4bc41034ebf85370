"""Account takeover: a thief logs in as the customer and sends the money away.

New device, often from far away; first a look and perhaps a small transfer, then the rest
in a few steps to accomplices, until `target_balance_pct` of the balance is gone
(indicative: takeovers often empty the account at once).  After a refusal the thief tries a
smaller sum, to the next account if the mule's was blocked, and gives up after two in a row.
A careful one uses the victim's device, more and smaller sums, and longer pauses.

Options: `target_balance_pct` (default 0.8 to 0.95), `amounts` for the single transfers.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.money import random_parts
from banksim.fraud.typology import Steps, typology

TARGET_BALANCE = (0.80, 0.95)
#: Transfers that empty one account, fewest and most (judgement).
PARTS = (2, 5)
#: How often a small transfer to the new payee comes first (judgement).
PROBE_SHARE = 0.4
PROBE_PART = (0.005, 0.02)
#: Accounts one gang has for the money (judgement).
CREW = 4
REFUSALS_TO_GIVE_UP = 2
BETWEEN_VICTIMS_S = 20 * 60.0


@typology("account_takeover", mean_size=4, min_size=2, mean_duration_s=20 * 60)
def account_takeover(campaign: Campaign) -> Steps:
    rng = campaign.rng
    victim = campaign.victim(least_balance_cents=campaign.wallet.scaled_cents(500))
    crew = campaign.crew(CREW)
    posts = rng.sample(range(len(crew)), min(len(crew), rng.randint(1, 2)))
    device, place = campaign.device(victim), campaign.scene.base(victim)
    balance = max(campaign.wallet.balance(victim), campaign.wallet.scaled_cents(100))
    share = campaign.options.target_balance_pct
    target = round(balance * (rng.uniform(*TARGET_BALANCE) if share is None else share))
    gap_s: float | None = BETWEEN_VICTIMS_S if campaign.made else None
    if campaign.left > 2 and rng.random() < PROBE_SHARE:
        probe = round(target * rng.uniform(*PROBE_PART))
        outcome = yield campaign.preparation(
            campaign.transfer(
                victim, crew[posts[0]], probe, campaign.next_moment(gap_s), device=device, place=place
            )
        )
        gap_s = None
        target -= probe if outcome.approved else 0
    refusals = 0
    for amount in _sums(campaign, max(1, target), campaign.wallet.limit(victim)):
        outcome = yield campaign.transfer(
            victim,
            crew[rng.choice(posts)],
            amount >> refusals,
            campaign.next_moment(gap_s),
            device=device,
            place=place,
        )
        gap_s = None
        if outcome.approved:
            campaign.loot.add(victim)
            refusals = 0
            continue
        refusals += 1
        if refusals >= REFUSALS_TO_GIVE_UP:
            return


def _sums(campaign: Campaign, target_cents: int, limit_cents: int) -> list[int]:
    """The transfers that make up the target, none above the victim's limit while steps last."""
    rng = campaign.rng
    wanted = rng.randint(*PARTS) + round(2 * campaign.sophistication)
    if campaign.options.amounts:
        return [campaign.chosen_amount() or target_cents for _ in range(min(campaign.left, wanted))]
    # Parts differ by up to a factor of three, hence the half.
    needed = -(-target_cents // max(1, limit_cents // 2))
    return random_parts(target_cents, max(1, min(campaign.left, max(wanted, needed))), rng)
