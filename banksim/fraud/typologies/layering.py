"""Layering: one sum goes in parallel chains through many accounts and comes together again.

             ┌─► a1 ──► a2 ─┐
    source ──┼─► b1 ──► b2 ─┼─► beneficiary
             └─► c1 ──► c2 ─┘

Where a mule network is in a hurry to get stolen money out, layering takes its time to make the
trail long: 5–20 accounts over 5–20 days (computed from AMLSim's sets), 2–4 transfers from
first account to last (judgement), fan-out first.  In a shorter run the days shrink with it.
Money is conserved except for the commissions (see `laundering`).

Options: `hops` (transfers from first account to last), `mule_accounts` (accounts between the two
ends, which sets the number of chains), `amounts` or `amount_range` for what leaves the source.
"""

from __future__ import annotations

from itertools import pairwise

from banksim.fraud.campaign import Campaign
from banksim.fraud.laundering import SUM_UNITS, Edge, launder
from banksim.fraud.typology import Steps, typology

HOPS = (2, 4)
STORY = (8, 18)
SMALLEST_STORY = 4
DAY_S = 86_400.0


@typology("layering", mean_size=12, min_size=SMALLEST_STORY, mean_duration_s=10 * DAY_S)
def layering(campaign: Campaign) -> Steps:
    rng = campaign.rng
    given = campaign.options.hops
    low, high = HOPS if given is None else (given, given) if isinstance(given, int) else given
    size = campaign.story_size(max(SMALLEST_STORY, low), STORY)
    hops = max(1, min(size, rng.randint(low, high)))
    chains = max(1, size // hops)
    if campaign.options.mule_accounts is not None and hops > 1:
        chains = max(1, min(chains, campaign.options.mule_accounts // (hops - 1)))
    stages = _stages(chains, hops)
    # Transfers that make no chain of their own: the last mules pay in several parts.
    rest = min(size - chains * hops, hops - 1)
    stages[-1] += [stages[-1][nth % chains] for nth in range(rest)]
    enough = campaign.wallet.scaled_cents(SUM_UNITS)
    accounts = 2 + chains * (hops - 1)
    for stage in stages:
        rng.shuffle(stage)
    yield from launder(campaign, campaign.new_crew(accounts, enough, enough), stages)


def _stages(chains: int, hops: int) -> list[list[Edge]]:
    """Post 0 is the source, the last one the beneficiary; chain c holds post 1 + c of each layer."""
    layers = [[0] * chains]
    layers += [[1 + hop * chains + chain for chain in range(chains)] for hop in range(hops - 1)]
    layers += [[1 + chains * (hops - 1)] * chains]
    return [list(zip(payers, payees, strict=True)) for payers, payees in pairwise(layers)]
