"""Counts of events and decisions add up, whatever comes in whatever order."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure.figures import Confusion
from banksim.measure.kafka import KafkaAlerts, StreamFigures
from banksim.model import Decision, Label, ScoreReply, Truth

TOPIC = "transactions"
FRAUD = Truth(Label.FRAUD, "student", "card_testing", "c-1")
HONEST = Truth(Label.GENUINE, "student")
DECOY = Truth(Label.DECOY, "student", "trip")
BLOCK, APPROVE = ScoreReply(0.9, Decision.BLOCK), ScoreReply(0.1, Decision.APPROVE)


def publish(figures: StreamFigures, name: str, truth: Truth = HONEST, at_s: float = 0.0) -> None:
    figures.offered(TOPIC, "published")
    figures.expect(name, truth, at_s)


def deliver(figures: StreamFigures, name: str, truth: Truth = HONEST) -> None:
    publish(figures, name, truth)
    figures.delivered(TOPIC, name, 5.0)


def test_recall_is_over_what_the_broker_took() -> None:
    figures = StreamFigures()
    for name, truth in (("f1", FRAUD), ("f2", FRAUD), ("f3", FRAUD), ("h1", HONEST), ("d1", DECOY)):
        deliver(figures, name, truth)
    publish(figures, "f4", FRAUD)
    figures.failed(TOPIC, "f4", "timed out")
    for name, reply in (("f1", BLOCK), ("f2", APPROVE), ("h1", APPROVE), ("d1", BLOCK)):
        figures.decided(name, reply, 1.0)
    decisions = figures.results().decisions
    assert decisions.confusion == Confusion(tp=1, fp=1, tn=1, fn=2)
    assert decisions.recall == 1 / 3  # the undecided f3 was not alerted, f4 was never there to be seen
    assert decisions.precision == 1 / 2 == decisions.false_positive_rate
    assert decisions.undecided == 1


def test_without_any_decision_nothing_is_said_about_recall() -> None:
    figures = StreamFigures()
    deliver(figures, "f1", FRAUD)
    decisions = figures.results().decisions
    assert decisions.recall is None and decisions.confusion is None
    assert decisions.undecided == 1


def test_latency_runs_from_publishing_to_reading() -> None:
    figures = StreamFigures()
    publish(figures, "a", at_s=10.0)
    figures.decided("a", APPROVE, 10.25)
    assert abs(figures.results().decisions.latency_ms.max - 250.0) < 0.5


def test_strangers_and_repeats_are_no_part_of_the_figures() -> None:
    figures = StreamFigures()
    deliver(figures, "a", FRAUD)
    figures.decided("a", BLOCK, 1.0)
    figures.decided("a", BLOCK, 2.0)
    figures.decided("somebody else's", BLOCK, 2.0)
    figures.unreadable()
    decisions = figures.results().decisions
    assert [
        getattr(decisions, n) for n in ("received", "matched", "repeated", "unmatched", "unreadable")
    ] == [
        4,
        1,
        1,
        1,
        1,
    ]
    assert decisions.confusion.tp == 1 and decisions.latency_ms.count == 1


def test_a_decision_may_come_before_the_acknowledgement() -> None:
    figures = StreamFigures()
    publish(figures, "a", FRAUD)
    figures.decided("a", BLOCK, 0.1)
    figures.delivered(TOPIC, "a", 200.0)
    assert figures.results().decisions.recall == 1.0
    assert figures.undecided == 0


def test_what_is_forgotten_is_counted() -> None:
    figures = StreamFigures(max_pending=2)
    for name in ("a", "b", "c"):
        publish(figures, name)
    figures.decided("a", BLOCK, 1.0)
    decisions = figures.results().decisions
    assert (decisions.forgotten, decisions.unmatched, decisions.matched) == (1, 1, 0)


def test_alerts() -> None:
    figures = StreamFigures()
    publish(figures, "a")
    figures.alert(("a", "x"))
    figures.alert(("x",))
    assert figures.results().alerts == KafkaAlerts(received=2, matched=1)


def test_a_decision_without_a_verdict_alerts_nobody() -> None:
    figures = StreamFigures()
    deliver(figures, "a", FRAUD)
    figures.decided("a", ScoreReply(None, Decision.NONE, error="score 85 is outside 0..1"), 1.0)
    decisions = figures.results().decisions
    assert (decisions.matched, decisions.no_verdict, decisions.recall) == (1, 1, 0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "drop", "unavailable", "deliver", "fail", "decide", "alert"]),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=60,
)


def _live(figures: StreamFigures, steps: list[tuple[str, int, bool]]) -> None:
    waiting: list[str] = []
    for number, (step, which, flag) in enumerate(steps):
        if step == "publish":
            publish(figures, f"t{number}", FRAUD if flag else HONEST)
            waiting.append(f"t{number}")
        elif step == "drop":
            figures.offered(TOPIC, "dropped")
        elif step == "unavailable":
            figures.offered(TOPIC, "unavailable")
        elif step == "deliver" and waiting:
            figures.delivered(TOPIC, waiting.pop(which % len(waiting)), 1.0)
        elif step == "fail" and waiting:
            figures.failed(TOPIC, waiting.pop(which % len(waiting)), "lost")
        elif step == "decide":
            figures.decided(f"t{which}", BLOCK if flag else APPROVE, 1.0)
        elif step == "alert":
            figures.alert((f"t{which}",))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_everything_offered_has_one_fate(steps: list[tuple[str, int, bool]]) -> None:
    figures = StreamFigures(max_pending=10)
    _live(figures, steps)
    found = figures.results()
    assert found.offered == found.published + found.dropped + found.unavailable
    assert found.published == found.delivered + found.failed + found.waiting
    assert found.waiting >= 0
    decisions = found.decisions
    assert decisions.received == sum(
        getattr(decisions, n) for n in ("matched", "repeated", "unmatched", "unreadable")
    )


@settings(max_examples=30, deadline=None)
@given(STEPS, STEPS)
def test_merging_is_adding(first: list[tuple[str, int, bool]], second: list[tuple[str, int, bool]]) -> None:
    one, other, merged = StreamFigures(), StreamFigures(), StreamFigures()
    _live(one, first)
    _live(other, second)
    for part in (one, other):
        merged.merge_state(json.loads(json.dumps(part.to_state())))
    for name in ("offered", "delivered", "failed", "dropped", "matched", "fraud_alerted"):
        assert merged.counts[name] == one.counts[name] + other.counts[name]
    assert merged.acknowledged_ms.count == one.acknowledged_ms.count + other.acknowledged_ms.count
    assert merged.results().topics.keys() == one.topics.keys() | other.topics.keys()
