"""What is under way, and what a finished run found, in sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from banksim.measure.campaigns import CampaignLine
from banksim.measure.results import FaultMade
from banksim.measure.story import Stretch, amounts, findings, under_way, unstopped
from banksim.measure.timeline import Timeline
from banksim.model import At
from tests.recorded import NAMES, recorded

THIN = "\u202f"
CARDS = CampaignLine("card_testing", 100.0, 400.0, 41, 34, 9_800, 0, 0, 0, 175.0, 3, 120)


def said(
    stretches: list[Stretch], sim_s: float, timeline: Timeline | None = None
) -> list[tuple[str, str, str]]:
    found = under_way(stretches, timeline or Timeline(), sim_s, 10.0, "USD")
    return [(one.kind, one.title, one.text.replace(THIN, " ")) for one in found]


def test_an_attack_with_its_figures() -> None:
    text = "41 tried, 34 caught, first alert after 1 min 15 s, "
    text += "USD 98.00 tried, USD 1.20 lost before the first alert"
    assert said([Stretch("card_testing", 50, 500, [CARDS])], 200) == [
        ("attack", "Card testing under way", text)
    ]


def test_an_attack_that_has_tried_nothing_or_raised_no_alert() -> None:
    unseen = CampaignLine("card_testing", 100.0, 100.0, 2, 0, 500)
    assert said([Stretch("probes", 0, 9)], 1) == [("attack", "Probes under way", "nothing tried so far")]
    assert (
        "2 tried, 0 caught, no alert yet, USD 5.00 tried"
        in said([Stretch("probes", 0, 9, [unseen])], 1)[0][2]
    )


def test_calm_names_what_comes_next_in_wall_time() -> None:
    text = "no attack is under way; takeover begins in about 10 s of wall time"
    assert said([Stretch("takeover", 200, 300)], 100) == [("calm", "Calm", text)]
    assert "none is planned any more" in said([Stretch("takeover", 200, 300)], 300)[0][2]


def test_a_fault_of_the_detector_tells_recall_before_and_since() -> None:
    timeline = Timeline()
    for wall_s, sim_s, sent, caught in ((0, 0, 40, 36), (1, 100, 20, 1)):
        bucket = timeline.at(At(wall_s, sim_s))
        bucket.fraud_sent, bucket.fraud_alerted = sent, caught
    fault, attack = Stretch("slowed", 100, 200, target="detector"), Stretch("wave", 0, 200)
    found = said([attack, fault], 150, timeline)
    assert [kind for kind, _, _ in found] == ["fault", "attack"]
    assert found[0][1:] == ("Slowed", "1 of 20 frauds caught since it began (5.00 %), 90.0 % before")
    assert (
        said([Stretch("down", 100, 200, target="bank")], 150, timeline)[0][2]
        == "0 transactions failed since it began"
    )


def test_money_adds_up_and_is_left_out_without_fraud() -> None:
    none = replace(recorded("calm").detection, tried_cents=0)
    assert amounts(none, "USD") == []
    some = replace(none, tried_cents=200_00, stopped_cents=50_00, lost_cents=120_00)  # the rest was refused
    shown = [(one.key, one.value.replace(THIN, " "), one.part) for one in amounts(some, "USD")]
    assert shown == [
        ("at_stake", "USD 200.00", 1.0),
        ("stopped", "USD 50.00", 0.25),
        ("lost", "USD 120.00", 0.6),
    ]


def test_why_less_was_stopped_than_was_caught() -> None:
    some = replace(recorded("calm").detection, caught_cents=80_00, stopped_cents=50_00)
    first = unstopped(some, "post_then_score", "USD").replace(THIN, " ")
    assert "alerts were on USD 80.00, and USD 30.00 of it was booked, since the bank books before" in first
    assert "only a block stops it" in unstopped(some, "score_then_post", "USD")
    assert unstopped(replace(some, caught_cents=50_00), "post_then_score", "USD") == ""


@pytest.mark.parametrize("name", NAMES)
def test_findings_are_at_most_three_sentences(name: str) -> None:
    results = recorded(name)
    found = findings(results)
    assert len(found) <= 3 and all(sentence.endswith(".") for sentence in found)
    assert bool(found) == (results.detection.confusion.fraud >= 30)


def test_a_fault_of_the_detector_is_the_first_finding() -> None:
    calm = recorded("calm")
    hit = [replace(point, fraud_sent=40, fraud_alerted=10) for point in calm.timeline[:2]]
    rest = [replace(point, fraud_sent=40, fraud_alerted=30) for point in calm.timeline[2:]]
    end_s = rest[0].sim_s
    fault = FaultMade("slowed", "detector", "latency", 1.0, hit[0].sim_s, end_s, True, 9)
    run = replace(calm.run, faults=[fault])
    first = findings(replace(calm, run=run, timeline=[*hit, *rest]))[0].replace(THIN, " ")
    assert first.endswith("caught 75.0 % of fraud; with the fault “slowed” it caught 25.0 %.")
    unbegun = replace(run, faults=[replace(fault, begun=False)])
    assert "slowed" not in findings(replace(calm, run=unbegun, timeline=[*hit, *rest]))[0]
