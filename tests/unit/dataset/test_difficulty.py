"""`sophistication` moves what a fixed strong detector finds, by kind, and no single column tells."""

from __future__ import annotations

import numpy as np
import pytest

from banksim.dataset.check.reference import (
    ALL,
    BANDS,
    CAREFUL_LEVEL,
    DEFAULT_LEVEL,
    EASIEST,
    LEVELS,
    Hardness,
    judged,
    made,
    measured_all,
    table,
)
from banksim.dataset.check.sample import GENUINE, Sample
from banksim.dataset.check.separation import average_precision, columns
from banksim.scenario import KNOWN_PATTERN_TYPES
from banksim.world.random import Bools, Floats

#: Half of what the docs' table is made of: about 35 s of one processor for all kinds at three levels.
WEEKS, LEARNT, MEASURED = 6, 3, (4, 5)
#: How well one column may rank the fraud among genuine rows of the same kind: area under the ROC curve,
#: 0.5 ± this, and average precision at most so much above the share of fraud (docs/realism.md).
WIDEST, MARGIN = 0.38, 0.3
#: The same for how often a payee is paid: in a small bank accomplices serve many campaigns.
WIDEST_PAYEE, MARGIN_PAYEE = 0.45, 0.4

#: What is hard at 0.9, by more than chance.
FALLING = (
    "card_testing", "account_takeover", "online_fraud", "velocity_attack", "large_amount", "unusual_location",
)  # fmt: skip


@pytest.fixture(scope="module")
def sets() -> dict[float, list[Sample]]:
    levels = (0.0, DEFAULT_LEVEL, CAREFUL_LEVEL)
    return {level: [made(seed, level, weeks=WEEKS) for seed in (LEARNT, *MEASURED)] for level in levels}


def test_every_kind_is_in_its_band_at_every_level(sets: dict[float, list[Sample]]) -> None:
    outside = []
    for level, samples in sets.items():
        runs = measured_all(samples[0], samples[1:])
        for kind in BANDS:
            found = judged(kind, level, runs)
            assert found is not None, kind
            if not found.holds:
                outside.append((kind, level, found.low, found.precision, found.high))
    assert outside == []


def test_bands_cover_every_kind_and_fall_where_the_dial_acts() -> None:
    assert set(BANDS) == {*KNOWN_PATTERN_TYPES, ALL}
    assert all(len(bands) == len(LEVELS) for bands in BANDS.values())
    for kind in FALLING:
        (lowest, _), *_, (_, highest) = BANDS[kind]
        assert highest < lowest, kind


def test_a_kind_that_is_too_easy_or_hopeless_leaves_its_band() -> None:
    too_easy = judged("smurfing", DEFAULT_LEVEL, [{"smurfing": Hardness(EASIEST + 0.01, 1.0, 1.0, 0.001)}])
    hopeless = judged("refund_abuse", CAREFUL_LEVEL, [{"refund_abuse": Hardness(0.0035, 0.1, 0.0, 0.001)}])
    assert too_easy is not None and not too_easy.holds
    assert hopeless is not None and not hopeless.holds
    assert judged("refund_abuse", CAREFUL_LEVEL, [{}]) is None


def auc(is_fraud: Bools, values: Floats) -> float:
    """Area under the ROC curve, ties counted half."""
    _, rank = np.unique(values, return_inverse=True)
    genuine, fraud = (np.bincount(rank[mask], minlength=rank.max() + 1) for mask in (~is_fraud, is_fraud))
    below = np.cumsum(genuine) - genuine
    return float((fraud * (below + genuine / 2)).sum() / genuine.sum() / fraud.sum())


def of_the_wire(sample: Sample) -> dict[str, Floats]:
    """What a message says beside the file's columns: parts of a second, and how often each name occurs."""
    found = {"second": sample.time_s % 60, "part of a second": sample.time_s % 1}
    for name in ("merchant", "device", "city", "payee", "name", "customer"):
        number = sample[name] - sample[name].min()
        found[f"frequency of {name}"] = np.bincount(number)[number].astype(np.float64)
    return found


def test_no_column_of_the_file_tells_careful_fraud_from_genuine_rows_of_its_kind(
    sets: dict[float, list[Sample]],
) -> None:
    for sample in sets[0.9]:
        known = sample.label_of(GENUINE) | sample.is_fraud
        for kind in np.unique(sample["kind"]):
            mask = known & (sample["kind"] == kind)
            is_fraud = sample.is_fraud[mask]
            if is_fraud.sum() < 50:
                continue
            for name, values in (columns(sample) | of_the_wire(sample)).items():
                seen = np.asarray(values, np.float64)[mask]
                is_payee = name == "frequency of payee"
                widest, margin = (WIDEST_PAYEE, MARGIN_PAYEE) if is_payee else (WIDEST, MARGIN)
                assert abs(auc(is_fraud, seen) - 0.5) < widest, (name, int(kind))
                best = max(average_precision(is_fraud, sign * seen) for sign in (1, -1))
                assert best < is_fraud.mean() + margin, (name, int(kind))


def test_the_table_has_a_row_per_kind_a_range_and_marks_what_leaves_its_band() -> None:
    one, other = ({"fan_in": Hardness(p, 0.9, 0.5, 0.01)} for p in (0.5, 0.7))
    text, missed = table({0.0: [one, other], 0.9: [{}]})
    assert missed == 0
    low, high = BANDS["fan_in"][0]
    assert f"| fan_in | 0.6 (0.5–0.7), {low:.2g}–{high:.2g} | 0.90, 0.50 | – | – |" in text
    text, missed = table({0.0: [{"fan_in": Hardness(0.01, 0.9, 0.5, 0.01)}]})
    assert missed == 1
    assert "| **0.01 (0.01–0.01), " in text
