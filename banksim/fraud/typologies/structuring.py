"""Structuring: one large sum paid in as several deposits, each below the reporting threshold.

Three to twenty cash deposits by one or a few people within hours or days (judgement),
each below `threshold`, together above it.  A clumsy depositor stays just below the line; a
careful one well below, with amounts of all sizes.  Depositors need an account that takes
such sums, so tier 2 at least.

`split_amounts: false` is the control: the sum goes in undivided, above the threshold.  A
list gives the amounts to choose from (those not below the threshold are left out).

Options: `threshold` (default 10,000), `split_amounts`, `amount_range` or `amounts` for the single
deposits.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.typology import Steps, typology
from banksim.world import Customer

THRESHOLD_UNITS = 10_000.0
#: Part of the threshold of one deposit, by a clumsy and by a careful depositor (judgement).
CLUMSY, CAREFUL = (0.86, 0.985), (0.05, 0.35)
DEPOSITS = (3, 9)
PEOPLE = (1, 3)
UNDIVIDED = (1.05, 2.5)
BETWEEN_SUMS_S = 12 * 3600.0


@typology("structuring", mean_size=6, min_size=3, mean_duration_s=24 * 3600)
def structuring(campaign: Campaign) -> Steps:
    rng = campaign.rng
    threshold = _threshold(campaign)
    if campaign.options.split_amounts is False:
        whole = round(threshold * rng.uniform(*UNDIVIDED))
        person = campaign.accomplice(least_limit_cents=whole + 1)
        yield campaign.deposit(person, whole, campaign.next_moment(), role="depositor")
        return
    people = campaign.crew(rng.randint(*PEOPLE), least_limit_cents=threshold)
    deposits = min(campaign.left, rng.randint(*DEPOSITS))
    if campaign.left - deposits < DEPOSITS[0]:
        deposits = campaign.left  # a remainder too small for a sum of its own joins this one
    sum_in = 0
    for nth in range(deposits):
        person = rng.choice(people)
        at = campaign.next_moment(BETWEEN_SUMS_S if campaign.made and nth == 0 else None)
        amount = _amount(campaign, threshold, person)
        if nth == deposits - 1 and sum_in + amount <= threshold and not campaign.options.split_amounts:
            amount = min(_highest(campaign, threshold, person), threshold - sum_in + amount)
        outcome = yield campaign.deposit(person, amount, at, role="depositor")
        sum_in += amount
        if outcome.approved:
            campaign.loot.add(person)


def _threshold(campaign: Campaign) -> int:
    """In cents; at most the highest limit of any customer."""
    given = campaign.options.threshold
    return campaign.wallet.cents(given) if given else campaign.wallet.scaled_cents(THRESHOLD_UNITS)


def _amount(campaign: Campaign, threshold: int, person: Customer) -> int:
    """One deposit, below the threshold and the person's limit."""
    rng, split = campaign.rng, campaign.options.split_amounts
    if isinstance(split, tuple):
        below = [cents for cents in map(campaign.wallet.cents, split) if cents < threshold]
        if below:
            return min(rng.choice(below), _highest(campaign, threshold, person))
    given = campaign.chosen_amount()
    if given is None:
        low, high = (
            clumsy + campaign.sophistication * (careful - clumsy)
            for clumsy, careful in zip(CLUMSY, CAREFUL, strict=True)
        )
        given = campaign.wallet.counted(threshold * rng.uniform(low, high))
    return max(1, min(given, _highest(campaign, threshold, person)))


def _highest(campaign: Campaign, threshold: int, person: Customer) -> int:
    return max(1, min(threshold, campaign.wallet.limit(person)) - 1)
