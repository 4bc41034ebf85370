"""When a repeatable call may be tried again, and how long to wait first.

Exponential backoff with jitter, and a budget as gRPC's retry throttling has it: each
failure takes a token, each success gives a tenth back, and below half of the tokens
nothing is retried.  A system that is down therefore gets one call per transaction and no
storm on top, which would otherwise be load that nobody asked for.
"""

from __future__ import annotations

import random

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
BUDGET_TOKENS = 20.0
TOKENS_PER_SUCCESS = 0.1


def backoff_s(failures: int, rng: random.Random) -> float:
    """Seconds to wait after the ``failures``-th failure (from 1): doubling, then half of it random."""
    longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + 0.5 * rng.random())


class RetryBudget:
    """Tokens shared by all calls to one system."""

    def __init__(self, tokens: float = BUDGET_TOKENS) -> None:
        self._most = tokens
        self._tokens = tokens

    def succeeded(self) -> None:
        if self._tokens < self._most:
            self._tokens = min(self._most, self._tokens + TOKENS_PER_SUCCESS)

    def failed(self) -> None:
        self._tokens = max(0.0, self._tokens - 1.0)

    @property
    def allows_retry(self) -> bool:
        return self._tokens > self._most / 2.0
