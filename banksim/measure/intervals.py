"""Wilson's interval for a share: honest near 0 and 1 and for small counts."""

from __future__ import annotations

from math import sqrt

#: The 97.5 % point of the normal distribution, for a two-sided 95 % interval.
Z_95 = 1.959963984540054


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float] | None:
    """Low and high end of the 95 % interval of ``successes`` in ``trials``; None without trials.

    Source: Wilson (1927), without continuity correction.  Trials are taken as independent:
    transactions of one campaign are not, which is why campaign recall stands beside it.
    """
    if trials <= 0:
        return None
    share = successes / trials
    denominator = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / denominator
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / denominator
    # The ends are exact at 0 and 1; rounding must not push them past.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def share(part: int, whole: int) -> float | None:
    """``part`` ÷ ``whole``; None, not 0, when there is nothing to divide by."""
    return part / whole if whole else None
