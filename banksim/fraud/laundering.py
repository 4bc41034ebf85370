"""Money that moves through a graph of accounts, stage by stage, and is conserved.

    stage 0: sources pay what is on their accounts      stage 1, 2 …: mules pass on what came

A stage is a list of edges (payer's post, payee's post) in the crew.  Each payer of a stage
divides its money among its edges.  A mule sends what it received in this story less a
commission, so along every path only commissions reduce the sum.  The money of a refused
transfer stays where it was, and the transfers after it are left out.  A blocked payer
loses the account with its balance (see `people.Accomplices`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from banksim.fraud.campaign import Campaign
from banksim.fraud.money import blended, random_parts
from banksim.fraud.people import Accomplices
from banksim.fraud.typology import Steps

Edge = tuple[int, int]
Stage = Sequence[Edge]

#: Part of the money that a mule keeps (judgement).
COMMISSION = (0.02, 0.08)
#: One transfer between criminals: a log-normal with a mean of about 1,900, the mean of transfer
#: fraud (indicative, EBA/ECB H1 2023).
SUM_UNITS, SUM_SIGMA = 1400.0, 0.8
#: Part of a source's balance that is sent at most, and of a payer's limit in one transfer.
BALANCE_PART, LIMIT_PART = 0.9, 0.95
#: How far a careful launderer goes towards the payer's usual transfers (judgement).
LIKENESS = 0.7


def launder(campaign: Campaign, crew: Accomplices, stages: Sequence[Stage]) -> Steps:
    """Carry out the stages in order; edges within a stage in the order given."""
    held: Counter[int] = Counter()
    for nth, stage in enumerate(stages):
        owed = _owed(campaign, crew, stage, held, first=nth == 0)
        for payer_post, payee_post in stage:
            payer, payee = crew[payer_post], crew[payee_post]
            holder, parts = owed[payer_post]
            if not parts or (nth > 0 and holder != payer.index):
                continue  # nothing arrived, or it is frozen on a predecessor's account
            cents = min(parts.pop(), round(LIMIT_PART * campaign.wallet.limit(payer)))
            planned = campaign.transfer(
                payer,
                payee,
                cents,
                campaign.next_moment(),
                device=payer.devices[0],
                place=payer.home,
                role="mule" if nth else "source",
            )
            outcome = yield planned
            if outcome.approved:
                held[payee.index] += planned.transaction.amount_cents
                campaign.loot.add(payee)


def less_commission(campaign: Campaign, cents: int) -> int:
    """``cents`` less the mule's commission."""
    return int(cents * (1 - campaign.rng.uniform(*COMMISSION)))


def usual_sum(campaign: Campaign, crew: Accomplices, payer_post: int) -> int:
    """One transfer from a source, in cents: the scenario's amounts, or what criminals send."""
    given = campaign.chosen_amount()
    if given is not None:
        return given
    wish = campaign.wallet.scaled_cents(SUM_UNITS * campaign.rng.lognormvariate(0, SUM_SIGMA))
    habit = campaign.wallet.usual(crew[payer_post], "transfer")
    return round(blended(wish, habit, LIKENESS * campaign.sophistication))


def _owed(
    campaign: Campaign, crew: Accomplices, stage: Stage, held: Counter[int], first: bool
) -> Mapping[int, tuple[int, list[int]]]:
    """For each payer's post of the stage: the index of the money's holder, and the parts for its edges."""
    owed: dict[int, tuple[int, list[int]]] = {}
    for post, edges in Counter(payer for payer, _ in stage).items():
        payer = crew[post]
        if first:
            most = round(BALANCE_PART * max(1, campaign.wallet.balance(payer)))
            total = min(most, sum(usual_sum(campaign, crew, post) for _ in range(edges)))
        else:
            total = less_commission(campaign, held.pop(payer.index, 0))
        parts = random_parts(total, edges, campaign.rng) if total > 0 else []
        owed[post] = (payer.index, parts or ([1] if first else []))
    return owed
