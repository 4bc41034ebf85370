"""Backoff and the retry budget."""

from __future__ import annotations

import random

from banksim.targets.http.client import FIRST_WAIT_S, LONGEST_WAIT_S, RetryBudget, backoff_s


def test_backoff_doubles_with_jitter_up_to_a_bound() -> None:
    rng = random.Random(1)
    for failures, longest in [
        (1, FIRST_WAIT_S),
        (2, 2 * FIRST_WAIT_S),
        (3, 4 * FIRST_WAIT_S),
        (99, LONGEST_WAIT_S),
    ]:
        waits = [backoff_s(failures, rng) for _ in range(200)]
        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_backoff_is_repeatable() -> None:
    assert backoff_s(3, random.Random(4)) == backoff_s(3, random.Random(4))


def test_budget_runs_out_and_comes_back() -> None:
    budget = RetryBudget(tokens=10)
    for _ in range(4):
        budget.failed()
    assert budget.allows_retry  # 6 of 10 left
    budget.failed()
    assert not budget.allows_retry
    for _ in range(100):
        budget.failed()  # never below zero, or the way back would be endless
    for _ in range(51):
        budget.succeeded()
    assert budget.allows_retry
