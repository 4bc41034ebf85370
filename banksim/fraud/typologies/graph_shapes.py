"""The shapes money laundering leaves in a graph of accounts (as in the AMLworld and AMLSim sets).

    fan_in        many ──► one                scatter_gather   one ──► many ──► one
    fan_out       one ──► many                gather_scatter   many ──► one ──► many
    cycle         a ──► b ──► … ──► a         bipartite        some ──► others, crosswise
                                              stack            bipartite, twice over

All accounts belong to accomplices who act from their own devices and homes, so no single
transfer looks odd; the shape does.  The money is conserved except for commissions (see
`laundering`).  A careful network sends sums like its members' own transfers, and slower.

Accounts follow from the size of the shape; options: `amounts` or `amount_range` for what a
source sends.  A campaign larger than one shape makes several with other accounts.
"""

from __future__ import annotations

import math
from itertools import product

from banksim.fraud.campaign import Campaign
from banksim.fraud.laundering import SUM_UNITS, Edge, launder
from banksim.fraud.typology import Steps, typology

DAYS_S = 86_400.0
#: Days a shape takes when the run is long enough (judgement; AMLSim's sets have 5–20).
SHAPE_S = 5 * DAYS_S


def _accounts(stages: list[list[Edge]]) -> int:
    return 1 + max(post for stage in stages for edge in stage for post in edge)


def _shape(campaign: Campaign, stages: list[list[Edge]]) -> Steps:
    """Carry the shape out with fresh accounts, the edges of each stage in any order."""
    for stage in stages:
        campaign.rng.shuffle(stage)
    enough = campaign.wallet.scaled_cents(SUM_UNITS)
    yield from launder(campaign, campaign.new_crew(_accounts(stages), enough, enough), stages)


@typology("fan_in", mean_size=8, min_size=3, mean_duration_s=SHAPE_S)
def fan_in(campaign: Campaign) -> Steps:
    size = campaign.story_size(3, (5, 12))
    yield from _shape(campaign, [[(post, 0) for post in range(1, size + 1)]])


@typology("fan_out", mean_size=8, min_size=3, mean_duration_s=SHAPE_S)
def fan_out(campaign: Campaign) -> Steps:
    size = campaign.story_size(3, (5, 12))
    yield from _shape(campaign, [[(0, post) for post in range(1, size + 1)]])


@typology("cycle", mean_size=6, min_size=3, mean_duration_s=SHAPE_S)
def cycle(campaign: Campaign) -> Steps:
    size = campaign.story_size(3, (4, 9))
    accounts = max(2, size)
    yield from _shape(campaign, [[(post, (post + 1) % accounts)] for post in range(size)])


@typology("scatter_gather", mean_size=10, min_size=4, mean_duration_s=SHAPE_S)
def scatter_gather(campaign: Campaign) -> Steps:
    size = campaign.story_size(4, (6, 14))
    between = range(1, max(1, size // 2) + 1)
    scatter: list[Edge] = [(0, post) for post in between]
    gather: list[Edge] = [(post, len(between) + 1) for post in between]
    if size % 2 and size > 1:
        gather.append(gather[0])  # one of them pays in two parts
    yield from _shape(campaign, [scatter, gather] if size > 1 else [scatter])


@typology("gather_scatter", mean_size=10, min_size=4, mean_duration_s=SHAPE_S)
def gather_scatter(campaign: Campaign) -> Steps:
    size = campaign.story_size(4, (6, 14))
    sources = max(1, size // 2)
    gather: list[Edge] = [(post, 0) for post in range(1, sources + 1)]
    scatter: list[Edge] = [(0, post) for post in range(sources + 1, size + 1)]
    yield from _shape(campaign, [gather, scatter] if scatter else [gather])


@typology("bipartite", mean_size=9, min_size=4, mean_duration_s=SHAPE_S)
def bipartite(campaign: Campaign) -> Steps:
    size = campaign.story_size(4, (6, 16))
    sources = max(1, math.isqrt(size))
    yield from _shape(campaign, [_crosswise(size, range(sources), sources)])


@typology("stack", mean_size=14, min_size=8, mean_duration_s=SHAPE_S)
def stack(campaign: Campaign) -> Steps:
    size = campaign.story_size(8, (8, 20))
    below = max(1, size // 2)
    sources = max(1, math.isqrt(below))
    first = _crosswise(below, range(sources), sources)
    middle = range(sources, _accounts([first]))
    stages = [first]
    if size > below:
        stages.append(_crosswise(size - below, middle, middle.stop))
    yield from _shape(campaign, stages)


def _crosswise(edges: int, payers: range, first_payee: int) -> list[Edge]:
    """``edges`` edges from all of ``payers`` to as few payees as it takes."""
    payees = range(first_payee, first_payee + math.ceil(edges / len(payers)))
    pairs = [(payer, payee) for payee, payer in product(payees, payers)]
    return pairs[:edges]
