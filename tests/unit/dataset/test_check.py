"""The self-check sees what is there: its figures on made-up rows whose value is known."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from banksim.dataset.check import Checker, report
from banksim.dataset.check.distributions import BANDS, HOURS, compare, mixture_quantile
from banksim.dataset.check.people import burstiness, figures, intraclass
from banksim.dataset.check.sample import DECOY, FRAUD, KINDS, Figure, Sample, between, least, near, table
from banksim.dataset.check.separation import (
    Boosted,
    average_precision,
    first_of_pair,
    naive,
    previous,
    rank_within,
    recall_at,
    reference,
    reference_scores,
    sums_before,
)
from banksim.model import Kind
from tests.unit.dataset.helpers import parts, streamed

DAY_S = 86_400


def sample(rows: int = 20_000, fraud_share: float = 0.02, seed: int = 1, **of_fraud: Any) -> Sample:
    """Rows of noise; ``of_fraud`` sets columns of fraudulent rows to a value."""
    rng, made = random.Random(seed), Sample()
    made.codes["city"]["US Anywhere"] = 0
    for moment_s in sorted(rng.random() * 7 * DAY_S for _ in range(rows)):
        fraud = rng.random() < fraud_share
        values = {
            "time_s": moment_s,
            "amount_cents": int(4000 * rng.lognormvariate(0, 0.8)),
            "balance_cents": int(rng.random() * 1e6),
            "customer": rng.randrange(500),
            "id_number": rng.getrandbits(32),
            "name": rng.randrange(200),
            "kind": KINDS.index(Kind.PURCHASE),
            "payee": -1,
            "label": FRAUD if fraud else 0,
        }
        made.put(**values | (of_fraud if fraud else {}))
    return made


def precision(**of_fraud: Any) -> dict[str, float]:
    tried = naive(sample(**of_fraud), sample(seed=2, **of_fraud), judged=True)
    return {found.name.removeprefix("average precision: "): found.value for found in tried}


def test_noise_cannot_be_told_apart() -> None:
    tried = precision()
    assert len(tried) == 21
    assert all(value < 0.04 for value in tried.values()), tried


@pytest.mark.parametrize(
    ("column", "value", "caught_by"),
    [("amount_cents", 100, "amount alone"), ("name", 7, "name alone"), ("refused", 1, "status alone")],
)
def test_a_give_away_is_found_on_another_seed(column: str, value: float, caught_by: str) -> None:
    tried = precision(**{column: value})
    assert tried[caught_by] > 0.15
    assert tried["depth-2 tree on all of them"] > 0.15
    assert tried["balance alone"] < 0.04


def test_too_little_fraud_says_nothing() -> None:
    few = sample(rows=2000, fraud_share=0.01)
    assert list(naive(few, few, judged=True)) == []


def test_the_reference_model_finds_what_only_the_past_tells() -> None:
    """Fraud is the fourth payment of a customer within the hour: no column of the row says so."""

    def bursts(seed: int) -> Sample:
        rng, made = random.Random(seed), Sample()
        rows = [(rng.random() * 30 * DAY_S, rng.randrange(300), 0) for _ in range(6000)]
        for _ in range(100):
            moment_s, customer = rng.random() * 30 * DAY_S, rng.randrange(300)
            rows += [(moment_s + 60 * n, customer, FRAUD if n >= 3 else 0) for n in range(6)]
        for moment_s, customer, label in sorted(rows):
            made.put(
                time_s=moment_s,
                amount_cents=rng.randrange(100, 9999),
                customer=customer,
                payee=-1,
                label=label,
            )
        return made

    train, test = bursts(1), bursts(2)
    assert average_precision(test.is_fraud, reference_scores(reference(train), test)) > 0.9


def test_a_wrong_daily_curve_is_a_miss() -> None:
    flat = {row.name: row for row in compare(sample(fraud_share=0.0), "USD", 500)}
    assert flat["purchases 03–06 h"].passed is False
    assert flat["purchases up to 10"].passed is None  # shown, not judged


def test_targets_are_shares() -> None:
    assert sum(HOURS) == pytest.approx(100, abs=1.1)
    assert [share for _, share in BANDS] == sorted(share for _, share in BANDS)
    quantiles = [mixture_quantile(share) for share in (0.1, 0.5, 0.9)]
    assert quantiles == sorted(quantiles)
    assert quantiles[1] == pytest.approx(24.7, abs=0.5)


def test_a_figure_passes_when_it_does_on_every_seed() -> None:
    seeds = [[near("a", 10, 10.4, 0.05, "C"), between("b", 0, 1, 2, "J")], [near("a", 10, 9, 0.05, "C")]]
    lines, judged, missed = table(seeds)
    assert lines[2:] == ["| a | 10 | 9 … 10.4 | **miss** | C |", "| b | 0 to 1 | 2 | **miss** | J |"]
    assert (judged, missed) == (2, 2)
    assert least("c", 0.1, 0.2, "J").passed and Figure("d", "", 1, 0, 0, "", judged=False).passed is None


# ---- people


def test_likeness_is_the_part_of_variance_between_groups() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(400), 25)
    own, chance = rng.normal(0, 1, 400)[group], rng.normal(0, 2, 10_000)
    assert intraclass(own + chance, group) == pytest.approx(0.2, abs=0.04)
    assert intraclass(chance, group) == pytest.approx(0, abs=0.01)


def test_burstiness_tells_clockwork_chance_and_bursts_apart() -> None:
    rng = np.random.default_rng(1)
    customer = np.repeat(np.arange(50), 200)
    clock = np.tile(np.arange(200) * 3600.0, 50)
    chance = np.tile(np.cumsum(rng.exponential(3600, 200)), 50)
    bursts = np.tile(np.cumsum(np.where(np.arange(200) % 4 == 0, 86_400.0, 60.0)), 50)
    assert burstiness(customer, clock) == pytest.approx(-1)
    assert burstiness(customer, chance) == pytest.approx(0, abs=0.05)
    assert burstiness(customer, bursts) > 0.2


def test_what_a_row_can_know_of_the_past() -> None:
    key = np.array([1, 2, 1, 1, 2])
    assert previous(key).tolist() == [-1, -1, 0, 2, 1]
    assert first_of_pair(key, np.array([7, 7, 7, 8, 7])).tolist() == [True, True, False, True, False]
    assert rank_within(key, np.array([0.0, 1, 50, 90, 200]), 60).tolist() == [0, 0, 1, 1, 0]
    sums, counts = sums_before(key, np.array([1.0, 2, 4, 8, 16]))
    assert sums.tolist() == [0, 0, 1, 5, 2] and counts.tolist() == [0, 0, 1, 2, 1]


def test_bills_and_refusals_are_read_off_the_rows() -> None:
    made = Sample()
    made.codes["city"]["US Anywhere"] = 0
    rent = made.codes["category"]["rent"]
    rows = [(day * DAY_S + customer, customer) for customer in range(30) for day in (0, 30, 60, 90)]
    for moment_s, customer in sorted(rows):
        made.put(time_s=moment_s, customer=customer, payee=-1, category=rent, merchant=5, amount_cents=90_000,
                 kind=KINDS.index(Kind.BILL_PAYMENT), refused=customer == 0, label=0)  # fmt: skip
    found = {row.name: row.value for row in figures(made, "US", (100.0, 105.0))}
    assert found["days from one bill to the next, median"] == pytest.approx(30)
    assert found["days from one bill to the next, CV"] == pytest.approx(0)
    assert found["genuine payments refused"] == pytest.approx(1 / 30)
    assert found["change of all balances"] == pytest.approx(0.05)
    assert DECOY != FRAUD


# ---- trees


def test_average_precision_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(3)
    fraud = rng.random(3000) < 0.05
    scores = np.round(rng.normal(0, 1, 3000) + fraud, 1)  # many are equal
    assert average_precision(fraud, scores) == pytest.approx(average_precision_score(fraud, scores))
    assert recall_at(fraud, fraud.astype(float), 0.01) == 1


def test_trees_learn_what_two_columns_say_together() -> None:
    rng = np.random.default_rng(3)
    columns = rng.integers(0, 2, (8000, 3)).astype(float)
    fraud = (columns[:, 0] != columns[:, 1]) & (rng.random(8000) < 0.3)
    model = Boosted(trees=20, depth=2).fit(columns, fraud, np.ones(8000))
    either = columns[:, 0] != columns[:, 1]
    scores = model.scores(columns)
    assert scores[either].min() > scores[~either].max()


# ---- a scenario


def test_a_set_with_too_few_rows_says_so() -> None:
    _, rows = streamed(duration_hours=1)
    checker = Checker(parts(duration_hours=1))
    checker.add(rows)
    assert "too few rows" in report([checker]).text
