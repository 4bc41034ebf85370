"""Smurfing: many people pay in small cash amounts and pass them on to one collector.

    cash ──► smurf 1 ─┐
    cash ──► smurf 2 ─┼──► collector
    cash ──► smurf 3 ─┘

In structuring a few people pay in one sum just below the reporting threshold; here many people
pay in sums far below it that exceed it only together.  Each smurf transfers its deposit, less a
commission.  A blocked smurf or collector is replaced by another accomplice.  A careful organiser
hands out smaller sums of all sizes.

Options: `threshold` (default 10,000), `mule_accounts` (how many smurfs, default 5 to 12),
`amounts` or `amount_range` for the single deposits.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.laundering import less_commission
from banksim.fraud.typology import Steps, typology

THRESHOLD_UNITS = 10_000.0
#: Part of the threshold in one deposit, by a clumsy and by a careful organiser (judgement).
CLUMSY, CAREFUL = (0.15, 0.60), (0.04, 0.30)
#: No deposit is above this part of the threshold, all together are above `TOGETHER` of it.
HIGHEST, TOGETHER = 0.9, 1.05
SMURFS = (5, 12)


@typology("smurfing", mean_size=16, min_size=4, mean_duration_s=2 * 86_400)
def smurfing(campaign: Campaign) -> Steps:
    rng = campaign.rng
    usual = campaign.options.mule_accounts or rng.randint(*SMURFS)
    steps = campaign.story_size(4, (2 * usual, 2 * usual))
    smurfs = min(max(1, usual), max(1, steps // 2))
    amounts = _amounts(campaign, max(1, steps // 2))
    crew = campaign.new_crew(smurfs + 1, round(HIGHEST * _threshold(campaign)))
    for nth, amount in enumerate(amounts):
        post = 1 + nth % smurfs
        smurf = crew[post]
        cents = max(1, min(amount, round(0.95 * campaign.wallet.limit(smurf))))
        paid_in = campaign.deposit(smurf, cents, campaign.next_moment(), role="smurf")
        outcome = yield paid_in
        if not outcome.approved:
            continue  # the cash never reached the account: there is nothing to pass on
        passed_on = max(1, less_commission(campaign, paid_in.transaction.amount_cents))
        outcome = yield campaign.transfer(
            smurf,
            crew[0],
            passed_on,
            campaign.next_moment(),
            device=smurf.devices[0],
            place=smurf.home,
            role="smurf",
        )
        if outcome.approved:
            campaign.loot.add(crew[0])


def _threshold(campaign: Campaign) -> int:
    given = campaign.options.threshold
    return campaign.wallet.cents(given) if given else campaign.wallet.scaled_cents(THRESHOLD_UNITS)


def _amounts(campaign: Campaign, deposits: int) -> list[int]:
    """Each far below the threshold; together above it where the number of deposits allows."""
    rng, threshold = campaign.rng, _threshold(campaign)
    low, high = (
        clumsy + campaign.sophistication * (careful - clumsy)
        for clumsy, careful in zip(CLUMSY, CAREFUL, strict=True)
    )
    shares = [rng.uniform(low, high) for _ in range(deposits)]
    factor = max(1.0, TOGETHER * rng.uniform(1.0, 1.2) / sum(shares))
    amounts = []
    for share in shares:
        given = campaign.chosen_amount()
        part = share * factor
        if part > HIGHEST:  # not all of them at one sum
            part = HIGHEST * rng.uniform(0.7, 1.0)
        wanted = threshold * part if given is None else given
        amounts.append(min(campaign.wallet.counted(wanted), round(HIGHEST * threshold)))
    return amounts
