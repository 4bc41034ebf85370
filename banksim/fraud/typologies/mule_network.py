"""Mule network: stolen money passes through borrowed accounts until its trail is lost.

    victim ──► mule ──► mule ──► … ──► cash or an account outside

One story: a sum leaves a victim's account (or comes in as cash), is spread over one or a
few first mules, and each of them passes on what it received, less a small commission: money
is conserved except for that.  It moves fast (indicative: 28 % has left after 15 minutes, 53 %
after an hour; 2–4 hops, fan-out first).  A branch ends at a refused transfer, since there is
nothing to pass on.  A blocked mule loses the account with its balance and is replaced by the
next accomplice; the thief then sends that sum there.

Options: `mule_accounts` (default 6), `hops` (transfers from first account to last, 2–4),
`amounts` or `amount_range` for the sum taken from the victim.
"""

from __future__ import annotations

from banksim.fraud.campaign import Campaign
from banksim.fraud.money import random_parts
from banksim.fraud.people import Accomplices
from banksim.fraud.typology import Steps, typology
from banksim.model import Decision

MULES = 6
HOPS = (2, 4)
COMMISSION = (0.02, 0.08)
#: Transfer fraud has a mean of about 1,900 (indicative); a log-normal of that mean.
SUM_UNITS, SUM_SIGMA = 1400.0, 0.8
#: Part of the victim's balance that is taken at most.
BALANCE_PART = 0.9
CASH_SOURCE_SHARE = 0.2
CASH_OUT_SHARE = 0.3
#: How soon a mule passes money on: share of the money, and up to how many seconds.
PASS_ON = ((0.28, 0.0, 15 * 60.0), (0.25, 15 * 60.0, 3600.0), (0.47, 3600.0, 8 * 3600.0))
BETWEEN_SUMS_S = 2 * 3600.0
FIRST_GAP_S = 5 * 60.0
#: Mules tried for one sum after the first is blocked (judgement).
REPLACEMENTS = 2


@typology("mule_network", aliases=("money_laundering",), mean_size=12, min_size=3, mean_duration_s=12 * 3600)
def mule_network(campaign: Campaign) -> Steps:
    rng = campaign.rng
    # Only accounts that accept a usual sum are useful.
    mules = campaign.crew(campaign.options.mule_accounts or MULES, campaign.wallet.scaled_cents(SUM_UNITS))
    posts = rng.sample(range(len(mules)), len(mules))
    hops = _hops(campaign)
    most_branches = max(1, campaign.left // max(2, hops))
    branches = min(most_branches, len(mules), rng.choice((1, 1, 2, 3)))
    total = _sum(campaign)
    from_cash = rng.random() < CASH_SOURCE_SHARE
    victim = None if from_cash else campaign.victim(least_balance_cents=round(total / BALANCE_PART))
    if victim is not None:
        total = max(branches, min(total, round(max(1, campaign.wallet.balance(victim)) * BALANCE_PART)))
    passable = round(0.95 * min(campaign.wallet.limit(mule) for mule in mules))
    for branch, sum_cents in enumerate(random_parts(total, branches, rng)):
        chain = [posts[(branch + nth) % len(posts)] for nth in range(hops)]
        part = min(sum_cents, passable)  # no limit on the way may stop it
        gap_s = BETWEEN_SUMS_S if campaign.made and branch == 0 else FIRST_GAP_S
        for _ in range(1 + REPLACEMENTS):
            first, at = mules[chain[0]], campaign.next_moment(gap_s)
            if victim is None:
                planned = campaign.deposit(first, part, at, role="mule")
            else:
                planned = campaign.transfer(victim, first, part, at)
            outcome = yield planned
            if outcome.detector.decision is not Decision.BLOCK or campaign.left <= 0:
                break
            gap_s = FIRST_GAP_S
        if outcome.approved:
            if victim is not None:
                campaign.loot.add(victim)
            yield from _pass_on(campaign, mules, chain, planned.transaction.amount_cents)


def _pass_on(campaign: Campaign, mules: Accomplices, chain: list[int], amount: int) -> Steps:
    """The money goes from each post of ``chain`` to the next, and from the last one out."""
    rng = campaign.rng
    holder = mules[chain[0]]
    for post in chain[1:]:
        payee = mules[post]
        amount = round(amount * (1 - rng.uniform(*COMMISSION)))
        planned = campaign.transfer(
            holder,
            payee,
            max(1, amount),
            campaign.next_moment(_holding_time(campaign)),
            device=holder.devices[0],
            place=holder.home,
            role="mule",
        )
        outcome = yield planned
        if not outcome.approved:
            return
        holder, amount = payee, planned.transaction.amount_cents
    if rng.random() < CASH_OUT_SHARE:
        note = campaign.wallet.notes(1)
        if amount >= 2 * note:  # whole notes, never more than came in
            cash = campaign.wallet.notes(amount * (1 - rng.uniform(*COMMISSION)) - note / 2)
            at = campaign.next_moment(_holding_time(campaign))
            yield campaign.withdrawal(holder, cash, at, device=holder.devices[0], role="mule")


def _hops(campaign: Campaign) -> int:
    """Transfers from the first account to the last, as far as the campaign's size allows."""
    given = campaign.options.hops
    low, high = HOPS if given is None else (given, given) if isinstance(given, int) else given
    return max(1, min(campaign.left, campaign.rng.randint(low, high)))


def _sum(campaign: Campaign) -> int:
    given = campaign.chosen_amount()
    if given is not None:
        return given
    return campaign.wallet.scaled_cents(SUM_UNITS * campaign.rng.lognormvariate(0, SUM_SIGMA))


def _holding_time(campaign: Campaign) -> float:
    """Seconds until a mule passes money on, drawn from `PASS_ON`."""
    chance = campaign.rng.random()
    for share, least_s, most_s in PASS_ON:
        if chance < share:
            return campaign.rng.uniform(least_s, most_s)
        chance -= share
    return PASS_ON[-1][2]
