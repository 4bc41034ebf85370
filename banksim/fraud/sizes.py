"""How many transactions a campaign makes, so that all of them together make the budget.

A budget is an expectation, say 7.3 transactions; a campaign makes a whole number.  The
fraction is settled by a coin, so that the mean over many seeds is the budget exactly; and a
budget below the smallest sensible campaign becomes such a campaign with the probability
that keeps the mean.
"""

from __future__ import annotations

import math
import random

#: Campaign sizes vary this much around their mean, either way (judgement).
SPREAD = 0.5


def whole_number(budget: float, smallest: int, rng: random.Random) -> int:
    """A whole number with mean ``budget``: 0, or at least ``smallest``."""
    if budget < smallest:
        return smallest if rng.random() * smallest < budget else 0
    return math.floor(budget) + (rng.random() < budget % 1.0)


def split(total: int, mean: float, smallest: int, most: int, rng: random.Random) -> list[int]:
    """Campaign sizes that add up to ``total``: around ``mean``, none below ``smallest``.

    At most ``most`` of them: a larger total makes larger campaigns, never lost ones.  A
    total below ``smallest`` gives one campaign of that total.
    """
    if total <= 0:
        return []
    # Sizes are drawn down to (1 - SPREAD) of the mean, hence the bound on the number.
    mean = max(mean, smallest, total / max(1, most) / (1 - SPREAD))
    sizes: list[int] = []
    left = total
    while left > 0:
        size = max(smallest, math.ceil(mean * rng.uniform(1 - SPREAD, 1 + SPREAD)))
        if left - size < smallest:
            size = left
        sizes.append(size)
        left -= size
    return sizes


def even_parts(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole numbers that differ by at most one; zeros are left out."""
    each, rest = divmod(total, max(1, parts))
    return [size for size in (each + (index < rest) for index in range(parts)) if size > 0]
