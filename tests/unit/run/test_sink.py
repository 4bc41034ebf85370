"""A tee passes each event to each of its sinks once, and one can read which those are."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from banksim.measure import Measures
from banksim.model import (
    NOT_SCORED,
    AccountRef,
    At,
    BankReply,
    BankStatus,
    Decision,
    Ended,
    Outcome,
    Planned,
    ScoreReply,
)
from banksim.run.sink import CustomerCounts, DebugLines, Ignore, LastCalls, LogLines, Tee
from banksim.targets import Call
from tests.unit.measure.test_block import block_of
from tests.unit.run.makers import Kept, planned

AT = At(1.0, 100.0)
POSTED = Outcome(BankReply(BankStatus.POSTED), NOT_SCORED, 0.0, 1.0)


def call(system: str, latency_ms: float = 1.0) -> Call:
    return Call(system, "POST", "/x", latency_ms, 200, 1, 1, None)


def everything(tee: Tee) -> None:
    tee.offered(AT, 3)
    tee.started(AT)
    tee.dropped(AT, planned(), "why")
    tee.dropped(AT, None, "too much", 2)
    tee.ended(AT, [Ended(planned(), POSTED)])
    tee.called(AT, [call("nexum")])


def test_every_sink_counts_the_same() -> None:
    measures = [Measures(), Measures()]
    everything(Tee(measures))
    for one in measures:
        assert (one.tally.offered, one.tally.started, one.tally.dropped) == (3, 1, 3)
        assert one.calls.of_system("nexum").count == 1


def test_a_sink_that_is_added_later_and_taken_out_counts_what_lies_between() -> None:
    run, step = Measures(), Measures()
    tee = Tee([run])
    everything(tee)
    tee.add(step)
    everything(tee)
    tee.remove(step)
    everything(tee)
    assert (run.tally.offered, step.tally.offered) == (9, 3)
    assert (run.calls.of_system("nexum").count, step.calls.of_system("nexum").count) == (3, 1)


def test_one_can_read_where_everything_goes() -> None:
    assert str(Tee([Measures(), LastCalls()])) == "Measures, LastCalls"


def test_a_sink_hears_only_what_it_does_not_ignore() -> None:
    kept = Kept()
    everything(Tee([Ignore(), kept]))
    assert kept.dropped_for == ["why", "too much", "too much"]
    assert [len(kept.results), len(kept.calls)] == [1, 1]


def test_customers_are_counted_the_same_from_rows_and_from_columns() -> None:
    rng = np.random.default_rng(3)
    columns, rows = CustomerCounts(40), CustomerCounts(40)
    made = block_of(rng, 200, 0.4, 2)
    customer = rng.integers(0, 50, 200)

    def whose(row: int) -> Planned:
        one = made.planned(row)
        owner = AccountRef(int(customer[np.searchsorted(made.row, row)]))
        return replace(one, transaction=replace(one.transaction, account=owner))

    block = replace(made, planned=whose, customer=customer, spent_cents=made.amount_cents)
    columns.ended(At(1.0, 1.0), block)
    rows.ended(At(1.0, 1.0), list(block))
    assert (columns.table == rows.table).all() and columns.beyond == rows.beyond > 0
    assert columns.table.sum(axis=0).all()
    alerts = [int(columns.table[index, 2]) for index in columns.most("alerts", 0, 10)]
    assert alerts == sorted(alerts, reverse=True)


def test_the_last_call_to_each_target_is_kept() -> None:
    last = LastCalls()
    tee = Tee([last])
    for system, latency_ms in (("nexum", 1.0), ("bastion", 2.0), ("nexum", 3.0)):
        tee.called(AT, [call(system, latency_ms)])
    assert {name: one.latency_ms for name, one in last.by_target.items()} == {"nexum": 3.0, "bastion": 2.0}


def test_the_transaction_log_has_a_line_for_what_was_planned() -> None:
    class Log:
        lines: list[str] = []  # noqa: RUF012

        def add(self, one: object, outcome: Outcome, wall_s: float) -> None:
            self.lines.append(f"{outcome.bank.status} at {wall_s:g}")

        def add_dropped(self, one: object, reason: str, wall_s: float) -> None:
            self.lines.append(f"{reason} at {wall_s:g}")

    log = Log()
    everything(Tee([LogLines(log)]))  # type: ignore[arg-type]
    assert log.lines == ["why at 1", "posted at 1"]


def test_verbose_names_what_was_processed_and_what_was_detected(caplog: pytest.LogCaptureFixture) -> None:
    caught = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.9, Decision.BLOCK), 0.0, 1.0)
    with caplog.at_level(logging.DEBUG, logger="banksim.run.sink"):
        DebugLines().ended(AT, [Ended(planned(fraud="card_testing"), caught), Ended(planned(), POSTED)])
    said = [record.message.split(":")[0] for record in caplog.records]
    assert said == ["Transaction processed", "Fraud detected", "Transaction processed"]
