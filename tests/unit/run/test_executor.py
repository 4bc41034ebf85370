"""Every arrival that is taken ends in exactly one count, whatever happens to it."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from banksim.measure import Measures
from banksim.model import At, BankReply, BankStatus, Decision, ScoreReply
from banksim.run.executor import DROP_AFTER_S, Executor
from banksim.run.sink import Tee
from banksim.run.timekeeper import Timekeeper
from banksim.schedule.clock import Clock
from tests.unit.run.makers import FakeBank, FakeDetector, Kept, Published, arrival, targets

AT = At(1.0, 100.0)


def executor(
    bank: FakeBank | None, detector: FakeDetector | None, flow: str = "post_then_score"
) -> tuple[Executor, Measures, Kept]:
    measures, kept = Measures(), Kept()
    timekeeper = Timekeeper(Clock(1000.0, 1.0))
    made = Executor(
        targets(bank, detector),  # type: ignore[arg-type]
        flow,
        Tee([measures, kept]),
        timekeeper,
        Published(),
    )
    return made, measures, kept


def send(made: Executor, measures: Measures, **kwargs: Any) -> None:
    measures.offered(AT)
    made.perform(arrival(**kwargs))


def counts(measures: Measures) -> dict[str, int]:
    return {name: value for name, value in measures.tally.as_dict().items() if value}


def test_posts_then_scores() -> None:
    bank, detector = FakeBank(), FakeDetector()
    made, measures, _ = executor(bank, detector)
    send(made, measures)
    assert [len(bank.posted), len(detector.scored)] == [1, 1]
    assert counts(measures) == {"offered": 1, "sent": 1, "completed": 1}
    assert made.in_flight == 0


def test_scores_first_and_does_not_post_what_is_blocked() -> None:
    bank = FakeBank()
    detector = FakeDetector(ScoreReply(0.95, Decision.BLOCK))
    made, measures, _ = executor(bank, detector, "score_then_post")
    send(made, measures)
    assert bank.posted == []
    assert counts(measures)["completed"] == 1


def test_scores_first_and_posts_what_is_approved() -> None:
    bank, detector = FakeBank(), FakeDetector()
    made, measures, _ = executor(bank, detector, "score_then_post")
    send(made, measures)
    assert len(bank.posted) == 1


@pytest.mark.parametrize(("bank", "detector"), [(None, FakeDetector()), (FakeBank(), None)])
def test_either_target_may_be_left_out(bank: FakeBank | None, detector: FakeDetector | None) -> None:
    made, measures, _ = executor(bank, detector)
    send(made, measures)
    assert measures.tally.as_dict()["in_flight"] == 0
    assert measures.tally.as_dict()["sent"] == 1


def test_too_late_to_start_is_a_drop_and_is_not_sent() -> None:
    bank, detector = FakeBank(), FakeDetector()
    made, measures, _ = executor(bank, detector)
    send(made, measures, late_s=DROP_AFTER_S + 1)
    assert bank.posted == []
    assert counts(measures) == {"offered": 1, "dropped": 1}


def test_the_lag_is_part_of_the_response_time() -> None:
    made, measures, _ = executor(FakeBank(), FakeDetector())
    send(made, measures, late_s=0.5)
    assert measures.latency["lag"].percentile(50) == pytest.approx(500, rel=0.05)
    assert measures.latency["response"].percentile(50) >= 500
    assert measures.latency["service"].percentile(50) < 100


@pytest.mark.parametrize("error", [RuntimeError("boom"), gevent.GreenletExit()])
def test_an_interrupted_send_is_unknown_and_still_counted(error: BaseException) -> None:
    made, measures, _ = executor(FakeBank(), FakeDetector(error=error))
    measures.offered(AT)
    with pytest.raises(type(error)):
        made.perform(arrival())
    assert counts(measures) == {"offered": 1, "sent": 1, "unknown": 1}
    assert made.in_flight == 0


@pytest.mark.parametrize(
    ("status", "count"),
    [
        (BankStatus.POSTED, "completed"),
        (BankStatus.REFUSED, "refused"),
        (BankStatus.FAILED, "failed"),
        (BankStatus.UNKNOWN, "unknown"),
    ],
)
def test_what_the_bank_said_decides_the_count(status: BankStatus, count: str) -> None:
    made, measures, _ = executor(FakeBank(BankReply(status, "why")), FakeDetector())
    send(made, measures)
    assert counts(measures)[count] == 1


def test_a_drop_and_an_outcome_each_reach_the_sink_once() -> None:
    made, measures, kept = executor(FakeBank(), FakeDetector())
    for late_s in (0.0, DROP_AFTER_S + 1):
        measures.offered(AT)
        made.perform(arrival(late_s=late_s, fraud="card_testing"))
    assert [ended.outcome.approved for ended in kept.results] == [True]
    assert kept.dropped_for == ["could not start within 10 s"]
