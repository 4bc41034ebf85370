from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from banksim.dataset.check import (
    BANDS,
    FRAUD,
    HOURS,
    KINDS,
    Checker,
    Sample,
    compare,
    mixture_quantile,
    separate,
)
from banksim.model import Kind
from tests.unit.dataset.helpers import streamed


def sample(rows: int = 20_000, fraud_share: float = 0.02, **of_fraud: Any) -> Sample:
    """Rows of noise; ``of_fraud`` sets columns of fraudulent rows to a value."""
    rng, made = random.Random(1), Sample()
    for nth in range(rows):
        fraud = rng.random() < fraud_share
        values = {
            "time_s": rng.random() * 7 * 86_400,
            "amount_cents": int(4000 * rng.lognormvariate(0, 0.8)),
            "balance_cents": int(rng.random() * 1e6),
            "customer": rng.randrange(500),
            "id_number": rng.getrandbits(32),
            "name": rng.randrange(200),
            "kind": KINDS.index(Kind.PURCHASE),
            "channel": 0,
            "label": FRAUD if fraud else 0,
            "campaign": nth // 100 if fraud else 0,
        }
        for name, value in (values | (of_fraud if fraud else {})).items():
            getattr(made, name).append(value)
    return made


def precision(made: Sample) -> dict[str, float]:
    tried = separate(made)
    assert tried is not None
    return tried.precisions


def test_noise_cannot_be_told_apart() -> None:
    tried = precision(sample())
    assert len(tried) == 8
    assert all(value < 0.03 for value in tried.values()), tried


@pytest.mark.parametrize(
    ("column", "value", "caught_by"),
    [("amount_cents", 100, "amount alone"), ("name", 7, "name alone"), ("time_s", 3 * 3600, "hour alone")],
)
def test_a_give_away_is_found(column: str, value: float, caught_by: str) -> None:
    tried = precision(sample(**{column: value}))
    assert tried[caught_by] > 0.15
    assert tried["balance alone"] < 0.03


def test_a_tree_finds_what_two_columns_give_away_together() -> None:
    assert precision(sample(amount_cents=100, id_number=5))["depth-2 tree on all of them"] > 0.9


def test_too_little_fraud_says_nothing() -> None:
    assert separate(sample(rows=2000, fraud_share=0.01)) is None


def test_a_wrong_daily_curve_is_a_miss() -> None:
    flat = compare(sample(fraud_share=0.0), np, "USD", 500)
    by_name = {row.name: row for row in flat}
    assert by_name["purchases 03–06 h"].passed is False
    assert by_name["purchases up to 10"].passed is None  # shown, not judged


def test_targets_are_shares() -> None:
    assert sum(HOURS) == pytest.approx(100, abs=1.1)
    assert [share for _, share in BANDS] == sorted(share for _, share in BANDS)
    quantiles = [mixture_quantile(share) for share in (0.1, 0.5, 0.9)]
    assert quantiles == sorted(quantiles)
    assert quantiles[1] == pytest.approx(24.7, abs=0.5)


def test_careful_fraud_of_a_whole_scenario_passes_the_naive_detectors() -> None:
    from banksim.dataset.stream import Stream
    from banksim.run.plan import build_parts
    from banksim.scenario import load_scenario

    settings = load_scenario("calibrated", {"duration_hours": 24 * 14, "fraud.rate": 0.02}, environ={})
    made = build_parts(settings, 7, settings.speed_multiplier)
    checker = Checker(made)
    checker.add(list(Stream(made)))
    report = checker.report()
    judged = [line for line in report.text.splitlines() if line.startswith("| average precision")]
    assert len(judged) == 8
    assert all("| pass |" in line for line in judged), report.text
    missed = [line for line in report.text.splitlines() if "**miss**" in line]
    assert report.passed == (not missed)
    assert len(missed) <= 1, report.text  # two weeks are a small sample


def test_a_set_with_too_few_rows_says_so() -> None:
    _, rows = streamed(duration_hours=1)
    from tests.unit.dataset.helpers import parts

    checker = Checker(parts(duration_hours=1))
    checker.add(rows)
    assert "too few rows" in checker.report().text
