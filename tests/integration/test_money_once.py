"""Fraud money against the bank's own books: what was lost is what left the victims and never came back."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from banksim.model import FraudStage, Label
from banksim.run import connect as targets_module
from banksim.sandbox import BankApi
from tests.integration.driver import Driver, settings_for

#: Whose money a campaign takes; everybody else's part in it is laundering, or their own money.
LOSERS = ("victim", "stolen identity", "bust-out")


def test_losses_per_campaign_are_those_of_the_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bank = BankApi(tmp_path / "bank.db")
    monkeypatch.setattr(targets_module, "BankApi", lambda: bank)
    driver = Driver(settings_for(tmp_path))
    results = driver.conduct().results
    assert results is not None

    legs: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for reference, account, cents in bank._db.rows(
        "SELECT p.reference, a.account_id, l.amount_cents FROM legs l JOIN postings p ON p.id = l.posting"
        " JOIN ledger_accounts a ON a.id = l.account WHERE a.floor_cents IS NOT NULL"
    ):
        legs[reference].append((account, cents))

    left: Counter[str] = Counter()
    losers: dict[str, set[str]] = defaultdict(set)
    steps = [planned for planned in driver.planned if planned.truth.label is Label.FRAUD]
    for planned in steps:
        truth = planned.truth
        for account, cents in legs[planned.transaction.transaction_id]:
            if truth.role in LOSERS and cents < 0:
                left[truth.campaign_id] -= cents
                losers[truth.campaign_id].add(account)
    came_back = sum(
        cents
        for planned in steps
        for account, cents in legs[planned.transaction.transaction_id]
        if planned.truth.stage is FraudStage.LAUNDERING
        and cents > 0
        and account in losers[planned.truth.campaign_id]
    )

    lost = {row.campaign: row.lost_cents for row in results.fraud.campaigns}
    assert len(lost) == results.fraud.campaigns_total
    assert {name: cents for name, cents in lost.items() if cents} == dict(left)
    assert came_back == 0
    assert results.detection.lost_cents == sum(left.values()) > 0
    moved = sum(
        planned.transaction.amount_cents
        for planned in steps
        if planned.truth.stage is FraudStage.LAUNDERING and legs[planned.transaction.transaction_id]
    )
    assert results.detection.moved_cents == moved > results.detection.lost_cents / 10
