"""The feed's sample: bounded, even, and with fraud before everything else."""

from __future__ import annotations

import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from banksim.model import At, BankReply, BankStatus, Decision, Ended, Outcome, ScoreReply
from banksim.run.sink import ITEMS_PER_SECOND, RESERVED_PER_SECOND, Feed, ShownOf
from tests.unit.run.makers import planned

ANA = SimpleNamespace(display_name="Ana")
WORLD = SimpleNamespace(population=SimpleNamespace(customer=lambda index: ANA))
QUIET = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.1, Decision.APPROVE), 0.0, 1.0)
ALERT = Outcome(BankReply(BankStatus.POSTED), ScoreReply(0.9, Decision.BLOCK), 0.0, 1.0)


def offer(feed, made, outcome, wall_s):
    feed.ended(At(wall_s, made.sim_s), [Ended(made, outcome)])


def offered(feed, tps, seconds, outcome=QUIET, fraud=""):
    """Moments at which one of a steady stream was taken."""
    taken = []
    for number in range(int(tps * seconds)):
        before, wall_s = feed.since(0).next, number / tps
        offer(feed, planned(float(number), fraud=fraud), outcome, wall_s)
        if feed.since(0).next > before:
            taken.append(wall_s)
    return taken


def test_a_quiet_bank_is_shown_whole():
    feed = Feed(WORLD, max_items=1000)
    offered(feed, 20, 10)
    assert feed.since(0).shown_of == ShownOf(200, 200)


def test_the_sample_of_a_busy_bank_flows_evenly():
    taken = [moment for moment in offered(Feed(WORLD), 1000, 10) if moment > 1.0]
    per_second = ITEMS_PER_SECOND - RESERVED_PER_SECOND
    assert len(taken) == pytest.approx(9 * per_second, abs=2)
    assert max(after - before for before, after in pairwise(taken)) < 1.5 / per_second


@pytest.mark.parametrize(("outcome", "fraud"), [(ALERT, ""), (QUIET, "card_testing")])
def test_alerts_and_fraud_find_room_among_many_genuine_ones(outcome, fraud):
    feed = Feed(WORLD, max_items=10_000)
    notable = 0
    for number in range(10_000):
        offer(feed, planned(float(number)), QUIET, number / 1000)
        if number % 100 == 0:
            before = feed.since(0).next
            offer(feed, planned(float(number), fraud=fraud), outcome, number / 1000)
            notable += feed.since(0).next - before
    assert notable == 100


def test_an_attack_is_bounded_too():
    taken = offered(Feed(WORLD, max_items=10_000), 1000, 10, ALERT, "card_testing")
    assert len(taken) == pytest.approx(ITEMS_PER_SECOND * 11, rel=0.05)  # a second's room was saved


def test_processes_that_share_a_run_share_its_places():
    assert len(offered(Feed(WORLD, per_second=1), 1000, 10)) == pytest.approx(11, abs=1)


def test_readers_ask_by_number_and_the_oldest_are_forgotten():
    feed = Feed(WORLD, max_items=5)
    offered(feed, 10, 1)
    assert [item.seq for item in feed.since(0).items] == [5, 6, 7, 8, 9]
    assert [item.seq for item in feed.since(8).items] == [8, 9]
    assert feed.since(10).items == feed.since(99).items == []


def test_an_item_says_when_its_last_answer_came():
    feed = Feed(WORLD)
    offer(feed, planned(), QUIET, 0.0)
    assert feed.items()[0].ended_at_ms == pytest.approx(time.time() * 1000.0, abs=2000.0)
