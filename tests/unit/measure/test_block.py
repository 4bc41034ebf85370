"""Results and calls in columns count as they would one by one."""

from __future__ import annotations

import json
import random
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import Measures, MeasureSettings
from banksim.measure.block import (
    CHANNELS,
    DECISIONS,
    LABELS,
    REFUSED,
    STATUSES,
    CallBlock,
    Notes,
    ResultBlock,
)
from banksim.measure.measures import MIN_BLOCK
from banksim.measure.results import encode
from banksim.measure.summary import Asked, live
from banksim.model import AccountRef, At, Ended, Kind, Label, Planned, Transaction, Truth
from banksim.scenario.models import Goals
from tests.unit.measure.make import HOME

PERSONAS = ("student", "salaried", "retired")
TYPOLOGIES = {Label.GENUINE: "", Label.FRAUD: "card_testing", Label.DECOY: "holiday_trip"}
SETTINGS = MeasureSettings(warm_up_s=50.0, deadline_ms=60.0)


def block_of(rng: np.random.Generator, size: int, odd: float, digits: int, first: int = 0) -> ResultBlock:
    """Random rows, a share ``odd`` of them no plain success; row numbers from ``first`` on."""

    def column(usual: int, choices: int) -> Any:
        return np.where(rng.random(size) < odd, rng.integers(0, choices, size), usual)

    row, sim_s = np.arange(first, first + size), rng.random(size) * 100.0
    label, status = column(LABELS.index(Label.GENUINE), len(LABELS)), column(0, len(STATUSES))
    decision, persona = column(0, len(DECISIONS)), rng.integers(0, len(PERSONAS), size)
    channel, amounts = rng.integers(0, len(CHANNELS), size), rng.integers(1, 10**6, size)
    score = rng.random(size).round(digits)
    score[rng.random(size) < odd / 2] = np.nan
    due_s = rng.random(size) * 10.0
    start_s = due_s + rng.exponential(0.002, size) - (rng.random(size) < odd) * 0.001
    unusable = np.flatnonzero((DECISIONS[-1] == np.array(DECISIONS)[decision]) & (rng.random(size) < 0.5))

    def planned(number: int) -> Planned:
        place = number - first
        truth = LABELS[label[place]]
        transaction = Transaction(
            f"t{number}",
            Kind.PURCHASE,
            AccountRef(1),
            int(amounts[place]),
            "USD",
            CHANNELS[channel[place]],
            0.0,
            HOME,
            "d",
            "",
        )
        campaign = f"c{number % 3}" if truth is Label.FRAUD else ""
        return Planned(
            transaction,
            Truth(truth, PERSONAS[persona[place]], TYPOLOGIES[truth], campaign),
            float(sim_s[place]),
        )

    return ResultBlock(
        planned=planned,
        personas=PERSONAS,
        row=row,
        sim_s=sim_s,
        label=label,
        persona=persona,
        channel=channel,
        amount_cents=amounts,
        due_s=due_s,
        start_s=start_s,
        end_s=start_s + rng.exponential(0.05, size),
        status=status,
        bank_ms=rng.random(size) * 40,
        decision=decision,
        score=score,
        score_ms=rng.random(size) * 10,
        notes=Notes(
            bank={
                int(row[place]): ("insufficient funds", "Blocked by fraud detection")[place % 2]
                for place in np.flatnonzero(status == REFUSED)
            },
            score_errors={int(row[place]): "no answer" for place in unusable},
        ),
    )


def figures(measures: Measures) -> dict[str, Any]:
    return encode(live(measures, 10.0, Asked(Goals()))) | {
        "timeline": measures.timeline.points(),
        "cold": encode(measures.cold.detection.figures(0.001, 500)),
        "drift": measures.detection.drift.figures(),
        "personas": measures.detection.personas.rows(),
        "channels": measures.detection.channels.rows(),
    }


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, 120), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.05, 0.6]),
    st.sampled_from([2, 15]),
)
def test_columns_count_as_rows_do(seed: int, sizes: list[int], odd: float, digits: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns, merged = Measures(SETTINGS), Measures(SETTINGS), Measures(SETTINGS)
    for number, size in enumerate(sizes):
        at, block = At(number * 0.7, number * 40.0), block_of(rng, size, odd, digits, 1_000 * number)
        part = Measures(SETTINGS)
        for measures, results in ((rows, list(block)), (columns, block), (part, block)):
            measures.offered(at, size)
            measures.started(at, size)
            measures.ended(at, results)
        merged.merge(json.loads(json.dumps(part.to_state())))
    assert figures(columns) == figures(rows)
    assert figures(merged)["latency_ms"] == figures(rows)["latency_ms"]
    assert figures(merged)["detection"] == figures(rows)["detection"]


def test_a_block_of_only_honest_rows_makes_no_objects() -> None:
    block = block_of(np.random.default_rng(1), 200, 0.0, 2)
    made: list[int] = []
    watched = ResultBlock(
        **{one.name: getattr(block, one.name) for one in fields(block) if one.name != "planned"},
        planned=lambda row: made.append(row) or block.planned(row),  # type: ignore[func-returns-value]
    )
    measures = Measures()
    measures.ended(At(1.0, 1.0), watched)
    assert (made, measures.tally.completed) == ([], 200)
    assert len(block) >= MIN_BLOCK
    assert list(watched)[7] == block[7] and made == list(range(200))


def test_a_block_is_a_sequence_of_results() -> None:
    block = block_of(np.random.default_rng(2), 30, 0.6, 2)
    assert isinstance(block[3], Ended)
    assert list(block[5:9]) == [block[place] for place in range(5, 9)]
    refused = int(np.flatnonzero(block.status == REFUSED)[0])
    assert block[refused].outcome.bank.detail == block.notes.bank[int(block.row[refused])] != ""
    failed = next(row for row in block if row.outcome.detector.error)
    assert failed.outcome.detector.error == "no answer"
    unscored = block.score != block.score
    assert [row.outcome.detector.score is None for row in block] == unscored.tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_calls_in_columns_count_as_calls_do(seed: int, sizes: list[int]) -> None:
    rng, names = np.random.default_rng(seed), [("POST", "/withdraw"), ("POST", "/deposit")]
    one_by_one, at_once = Measures(), Measures()
    for number, size in enumerate(sizes):
        at = At(float(number), 60.0 * number)
        block = CallBlock(
            "nexum",
            names,
            rng.integers(0, 2, size),
            rng.exponential(20.0, size),
            np.full(size, 200),
            np.full(size, 500),
            np.full(size, 250),
        )
        at_once.called(at, block)
        calls = list(block)
        random.Random(seed).shuffle(calls)
        for call in calls:
            one_by_one.called(at, [call])
    assert at_once.calls.rows() == one_by_one.calls.rows()
    assert at_once.calls.extremes.rows() == one_by_one.calls.extremes.rows()
