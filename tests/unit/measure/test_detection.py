import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure.campaigns import Campaigns
from banksim.measure.detection import Detection, adjusted_precision
from banksim.measure.results import encode
from banksim.model import BankStatus, Decision, Label
from tests.unit.measure.make import ALERT, MISSING, PASSED, UNASKED, fraud, outcome, planned


def figures(detection: Detection) -> dict:
    return encode(detection.figures(prevalence=0.001, false_positive_cost_cents=500))


def test_without_any_fraud_nothing_is_claimed_about_it() -> None:
    detection = Detection(10)
    for _ in range(5):
        detection.add(planned(), PASSED)
    found = figures(detection)
    for name in ("recall", "recall_low", "precision", "f1", "mcc", "roc_auc", "average_precision"):
        assert found[name] is None, name
    assert found["value_detection_rate"] is None and found["net_savings_cents"] is None
    assert found["false_positive_rate"] == 0


def test_without_a_detector_there_are_no_figures_at_all() -> None:
    detection = Detection(10)
    detection.add(fraud(), UNASKED)
    detection.add(planned(), UNASKED)
    found = figures(detection)
    for name in ("recall", "false_positive_rate", "coverage", "alert_rate", "campaign_recall"):
        assert found[name] is None, name
    assert found["unasked"] == 2


def test_the_confusion_matrix_follows_the_decision_not_the_score() -> None:
    detection = Detection(10)
    detection.add(fraud(3_000), outcome(Decision.REVIEW, 0.2))
    detection.add(fraud(1_000), outcome(Decision.APPROVE, 0.99))
    detection.add(planned(), outcome(Decision.BLOCK, 0.01))
    for _ in range(6):
        detection.add(planned(), PASSED)
    found = figures(detection)
    assert found["confusion"] == {"tp": 1, "fp": 1, "tn": 6, "fn": 1}
    assert found["recall"] == 0.5 and found["precision"] == 0.5
    assert found["value_detection_rate"] == 0.75
    assert found["false_positives_per_10000"] == pytest.approx(10_000 / 7)
    assert found["net_savings_cents"] == 3_000 - 500
    assert found["f1"] == 0.5
    assert found["mcc"] == pytest.approx((1 * 6 - 1 * 1) / (2 * 2 * 7 * 7) ** 0.5)


def test_a_missing_score_is_a_miss_and_lowers_coverage() -> None:
    detection = Detection(10)
    detection.add(fraud(), ALERT)
    detection.add(fraud(), MISSING)
    detection.add(planned(), PASSED)
    detection.add(planned(), UNASKED)
    found = figures(detection)
    assert found["recall"] == 0.5
    assert found["coverage"] == 0.5
    assert (found["missing"], found["unasked"]) == (1, 1)


def test_decoys_count_as_honest_and_are_told_apart() -> None:
    detection = Detection(10)
    detection.add(planned(Label.DECOY, typology="holiday_trip"), ALERT)
    detection.add(planned(), PASSED)
    assert figures(detection)["confusion"] == {"tp": 0, "fp": 1, "tn": 1, "fn": 0}
    assert detection.by_decoy()["holiday_trip"].false_positive_rate == 1
    assert detection.by_typology() == {}


def test_a_late_alert_is_not_on_time() -> None:
    detection = Detection(10, deadline_ms=100)
    detection.add(fraud(), outcome(Decision.BLOCK, 0.9, lag_ms=90, service_ms=20))
    detection.add(fraud(), outcome(Decision.BLOCK, 0.9, lag_ms=10, service_ms=20))
    found = figures(detection)
    assert (found["recall"], found["on_time_recall"], found["late"]) == (1, 0.5, 1)


def test_a_campaign_counts_what_was_booked_before_its_first_alert() -> None:
    detection = Detection(10)
    detection.add(fraud(100, sim_s=10), PASSED)
    detection.add(fraud(200, sim_s=20), outcome(status=BankStatus.REFUSED))
    detection.add(fraud(300, sim_s=40), ALERT)
    detection.add(fraud(400, sim_s=50), PASSED)
    (row,) = detection.campaigns.rows(10)
    assert row.lost_before_cents == 100 and row.lost_before_transactions == 1
    assert row.time_to_detect_s == 30 and row.alerted == 1 and row.transactions == 4


def test_an_unseen_campaign_has_no_time_to_detect() -> None:
    detection = Detection(10)
    detection.add(fraud(100), PASSED)
    (row,) = detection.campaigns.rows(10)
    assert row.time_to_detect_s is None and row.lost_before_cents == 100
    assert figures(detection)["campaign_recall"] == 0


def test_campaigns_beyond_the_bound_are_counted() -> None:
    detection = Detection(max_campaigns=2)
    for number in range(5):
        detection.add(fraud(campaign=f"c{number}"), PASSED)
    assert len(detection.campaigns.lines) == 2
    assert detection.campaigns.overflow == 3


def test_a_campaign_that_moved_to_another_worker_adds_up() -> None:
    first, second = Detection(10), Detection(10)
    first.add(fraud(100, sim_s=1), PASSED)
    first.add(fraud(200, sim_s=2), ALERT)
    second.add(fraud(400, sim_s=3), PASSED)
    for one, other in ((first, second), (second, first)):
        merged = Detection(10)
        merged.merge_state(one.to_state())
        merged.merge_state(other.to_state())
        assert merged.campaigns.rows(1)[0].lost_before_cents == 100
        assert merged.campaigns.rows(1)[0].transactions == 3


def test_adjusted_precision() -> None:
    # 90 % recall and 1 % false positives at 1 fraud in 1000: 0.9 of every 0.9 + 9.99 alerts
    assert adjusted_precision(0.9, 0.01, 0.001) == pytest.approx(0.0009 / (0.0009 + 0.00999))
    assert adjusted_precision(None, 0.01, 0.001) is None
    assert adjusted_precision(0.0, 0.0, 0.001) is None


def test_scored_means_that_a_usable_score_came_back() -> None:
    """A decision alone is none: the detector's action may come with a score outside 0..1."""
    detection = Detection(10)
    detection.add(fraud(), outcome(Decision.BLOCK, None, error="the answer has no score"))
    detection.add(planned(), outcome(Decision.APPROVE, None, error="score 85 is outside 0..1"))
    detection.add(planned(), PASSED)
    found = figures(detection)
    assert (found["scored"], found["missing"], found["coverage"]) == (1, 2, pytest.approx(1 / 3))
    assert found["confusion"] == {"tp": 1, "fp": 0, "tn": 2, "fn": 0}
    row = detection.by_typology()["card_testing"]
    assert (row.scored, row.missing, row.recall) == (0, 1, 1.0)


def test_when_no_score_came_back_nothing_was_judged() -> None:
    detection = Detection(10)
    for plan in (fraud(), planned(), planned(Label.DECOY, typology="holiday_trip")):
        detection.add(plan, MISSING)
    found = figures(detection)
    for name in ("recall", "recall_low", "false_positive_rate", "campaign_recall", "alert_rate", "f1"):
        assert found[name] is None, name
    assert found["value_detection_rate"] is None and found["net_savings_cents"] is None
    assert (found["coverage"], found["scored"], found["missing"]) == (0, 0, 3)
    assert found["confusion"] == {"tp": 0, "fp": 0, "tn": 0, "fn": 0}
    assert detection.by_typology()["card_testing"].recall is None
    assert detection.by_decoy()["holiday_trip"].false_positive_rate is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 150), st.integers(1, 9), st.floats(0, 99), st.booleans(), st.integers(0, 20)
        ),
        max_size=400,
    )
)
def test_the_costliest_campaigns_are_found_among_what_changed(events: list) -> None:
    campaigns = Campaigns(200)
    for number, cents, sim_s, alert, ask in events:
        campaigns.add(fraud(cents, sim_s, f"c{number}"), True, alert)
        if ask:
            campaigns.rows(5)
    lines = campaigns.lines.items()
    ordered = sorted(lines, key=lambda item: (-item[1].lost_before_cents, item[1].first_sim_s, item[0]))
    assert [row.campaign for row in campaigns.rows(100)] == [name for name, _ in ordered[:100]]
    assert campaigns.detected == sum(line.alerted > 0 for _, line in lines)
    merged = Campaigns(200)
    merged.merge_state(campaigns.to_state())
    assert merged.rows(100) == campaigns.rows(100) and merged.detected == campaigns.detected
