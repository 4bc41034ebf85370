"""What the stand-in detector notices, what it leaves alone, and what cannot influence it."""

import json
import random

import pytest

from banksim.sandbox import DetectorApi, FraudModel
from banksim.sandbox.detector.api import MAX_ALERTS
from banksim.sandbox.detector.memory import Memory
from banksim.sandbox.detector.model import MODELS, RULES, judge
from tests.unit.sandbox.synthetic import DAY_S, HOUR_S, START_S, Town, body

NOON_S = START_S + 4 * DAY_S + 12 * HOUR_S


def settled_model(seed: int = 1, days: float = 4.5, customers: int = 150) -> tuple[FraudModel, Town]:
    """A model that has watched an ordinary town until noon of its fifth day."""
    town = Town(seed, customers=customers)
    model = FraudModel()
    for request in town.days(5):
        if request["timestamp"] < START_S + days * DAY_S:
            model.score(request)
    return model, town


@pytest.fixture
def settled():
    return settled_model()


def actions(model, requests):
    return [model.score(request).action for request in requests]


def flagged_share(model, requests):
    found = actions(model, requests)
    return sum(action != "APPROVE" for action in found) / len(found)


def transfer(number, payer, payee, amount, at_s, **more):
    return body(
        number,
        payer,
        amount,
        at_s,
        transaction_type="transfer",
        channel="mobile",
        merchant_id="",
        merchant_category="",
        counterparty_account_id=f"acc-{payee}",
        **more,
    )


def deposit(number, customer, amount, at_s):
    more = {"transaction_type": "deposit", "channel": "branch", "merchant_id": "", "merchant_category": ""}
    return body(number, customer, amount, at_s, **more)


# -- ordinary life -----------------------------------------------------------------------


@pytest.mark.parametrize(("per_day", "days", "at_most"), [(4, 7, 0.005), (40, 0.5, 0.01)])
def test_ordinary_life_is_left_alone_at_any_offered_load(per_day, days, at_most):
    town = Town(seed=3, customers=150, per_day=per_day)
    assert flagged_share(FraudModel(), town.days(days)) <= at_most


def test_a_journey_at_airliner_speed_is_believed(settled):
    model, _ = settled
    model.score(body(1, "c1", 40, NOON_S))
    paris = {"latitude": 48.85, "longitude": 2.35, "country": "FR"}
    assert model.score(body(2, "c1", 40, NOON_S + 9 * HOUR_S, **paris)).action == "APPROVE"


def test_a_large_payment_to_an_old_friend_is_not_a_new_payee(settled):
    model, _ = settled
    for week in range(4):
        model.score(transfer(week, "new1", "new2", 90, START_S + week * DAY_S))
    friend = model.score(transfer(8, "new1", "new2", 6_000, NOON_S))
    stranger = model.score(transfer(9, "new1", "new3", 6_000, NOON_S + 60))
    assert "new_payee_large_amount" not in friend.reasons
    assert "new_payee_large_amount" in stranger.reasons


# -- attacks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "rule"),
    [(1, "shared_device"), (40, "merchant_probe_burst")],
    ids=["one device", "many devices"],
)
def test_card_testing_is_caught(settled, devices, rule):
    model, town = settled
    rng = random.Random(5)
    burst = [
        body(
            90_000 + number,
            name,
            round(rng.uniform(0.5, 3), 2),
            NOON_S + 5 * number,
            device_id=f"other-{number % devices}",
            channel="online",
            merchant_id="grocery-1",
        )
        for number, name in enumerate(rng.sample(town.names, 40))
    ]
    assert flagged_share(model, burst) > 0.9
    last = body(
        99_999, "c0", 1.0, NOON_S + 205, device_id="other-0", channel="online", merchant_id="grocery-1"
    )
    assert rule in model.score(last).reasons


def test_a_velocity_attack_is_caught(settled):
    model, _ = settled
    rng = random.Random(5)
    attack = [
        body(90_000 + n, "c5", round(rng.uniform(20, 200), 2), NOON_S + 20 * n, channel="online")
        for n in range(30)
    ]
    assert flagged_share(model, attack) > 0.9
    assert "velocity" in model.score(body(1, "c5", 30, NOON_S + 601)).reasons


def test_an_account_takeover_is_caught(settled):
    model, town = settled
    rng = random.Random(5)
    theft = [
        transfer(
            n, "c7", rng.choice(town.names[20:]), rng.uniform(600, 2_000), NOON_S + 240 * n, device_id="other"
        )
        for n in range(6)
    ]
    assert flagged_share(model, theft) > 0.8


def test_impossible_travel_is_caught_and_the_way_home_is_not(settled):
    model, _ = settled
    model.score(body(1, "c9", 40, NOON_S))
    away = model.score(
        body(2, "c9", 40, NOON_S + 1_800, latitude=48.85, longitude=2.35, country="FR", channel="atm")
    )
    home = model.score(body(3, "c9", 40, NOON_S + 3_600))
    assert away.action == "BLOCK" and away.reasons[0] == "impossible_travel"
    assert home.action == "APPROVE"


def test_where_an_online_purchase_was_made_is_no_journey(settled):
    model, _ = settled
    model.score(body(1, "c9", 40, NOON_S))
    online = model.score(body(2, "c9", 40, NOON_S + 1_800, latitude=48.85, longitude=2.35, channel="online"))
    assert "impossible_travel" not in online.reasons


def test_structuring_is_caught_over_days(settled):
    model, _ = settled
    scores = [model.score(deposit(n, "c11", 9_200 + 70 * n, NOON_S + n * 20 * HOUR_S)) for n in range(5)]
    assert [score.action for score in scores[2:]] == ["BLOCK"] * 3
    assert "structuring" in scores[-1].reasons
    months_apart = [deposit(n, "c12", 9_200, NOON_S + n * 30 * DAY_S) for n in range(1, 4)]
    assert [model.score(request).features.band_deposits_7d for request in months_apart] == [1, 1, 1]


def test_a_mule_that_passes_money_on_is_caught(settled):
    model, _ = settled
    model.score(transfer(1, "c20", "c21", 3_000, NOON_S))
    out = model.score(transfer(2, "c21", "c22", 2_850, NOON_S + 1_800))
    assert out.action != "APPROVE"
    assert "pass_through" in out.reasons


def test_many_strangers_paying_one_account_are_noticed(settled):
    model, town = settled
    fan = [transfer(n, name, "c30", 300 + n, NOON_S + 600 * n) for n, name in enumerate(town.names[40:55])]
    assert "fan_in_out" in [model.score(request) for request in fan][-1].reasons


def test_an_amount_far_from_all_habits_is_caught(settled):
    model, _ = settled
    found = model.score(body(1, "c31", 6_000, NOON_S))
    assert found.action != "APPROVE"
    assert found.reasons[0] == "amount_unusual"


# -- what cannot influence a score -------------------------------------------------------


def test_nothing_else_in_the_metadata_changes_a_score():
    plain, labelled = FraudModel(), FraudModel()
    for request in Town(seed=4, customers=40).days(2):
        tainted = json.loads(json.dumps(request))
        tainted["metadata"] |= {
            "is_fraud": True,
            "fraud_type": "card_testing",
            "label": "fraud",
            "campaign": "x",
        }
        tainted["is_fraud"] = True
        tainted["metadata"]["description"] = "definitely stolen"
        assert plain.score(request) == labelled.score(tainted)


def test_ids_matter_only_by_identity():
    def renamed(value):
        if isinstance(value, dict):
            same = ("merchant_category", "transaction_type", "channel", "country", "currency")
            return {k: v if k in same else renamed(v) for k, v in value.items()}
        return f"z{value[::-1]}" if isinstance(value, str) and value else value

    first, second = FraudModel(), FraudModel()
    for request in Town(seed=6, customers=40).days(2):
        assert first.score(request).risk_score == second.score(renamed(request)).risk_score


def test_the_wall_clock_does_not_matter(monkeypatch):
    def replies():
        api = DetectorApi()
        requests = Town(seed=8, customers=20).days(1)
        return [api.handle("POST", "/score", {}, request)[1]["features"] for request in requests]

    before = replies()
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(f"time.{clock}", lambda: 0.0)
    assert replies() == before


def test_slightly_late_arrivals_score_about_the_same():
    requests = Town(seed=9, customers=100).days(3)
    shuffled = sorted(
        requests, key=lambda r: r["timestamp"] + random.Random(r["transaction_id"]).uniform(0, 120)
    )
    assert requests != shuffled
    assert flagged_share(FraudModel(), shuffled) <= flagged_share(FraudModel(), requests) + 0.003


def test_the_same_run_again_starts_afresh_and_scores_the_same():
    requests = Town(seed=2, customers=60).days(3)
    model = FraudModel()
    first = [model.score(request).risk_score for request in requests]
    again = [model.score(request).risk_score for request in requests]
    assert model.restarts == 1
    assert model.repeated == 0
    # Apart from the few that came before the restart was noticed, and what those would have taught.
    assert sum(abs(a - b) for a, b in zip(first, again, strict=True)) / len(first) < 0.005
    assert sum((a >= 0.5) != (b >= 0.5) for a, b in zip(first, again, strict=True)) <= 3


def test_single_late_arrivals_do_not_start_it_over(settled):
    model, _ = settled
    for number in range(60):
        at_s = NOON_S - 5 * HOUR_S if number % 10 else NOON_S + number
        model.score(body(number, f"late{number}", 40, at_s))
    assert model.restarts == 0


def test_a_repeated_request_counts_once(settled):
    model, _ = settled
    request = body(1, "c40", 40, NOON_S)
    assert model.score(request) is model.score(request)
    assert model.repeated == 1
    assert model.score(body(2, "c40", 40, NOON_S + 1)).features.count_1min == 2


# -- bounds and degraded input -----------------------------------------------------------


def test_memory_is_bounded_and_evictions_are_counted():
    model = FraudModel(Memory(scale=0.0005), max_remembered=10)
    for request in Town(seed=1, customers=120).days(1):
        model.score(request)
    sizes = model.memory.sizes()
    assert sizes["customers"] <= 25 and sizes["merchants"] <= 10 and sizes["devices"] <= 50
    assert sizes["evicted"] > 0
    assert len(model._remembered) == 10


@pytest.mark.parametrize("missing", [*body(1, "c1", 5.0, NOON_S), "everything"])
def test_any_field_may_be_missing(settled, missing):
    model, _ = settled
    request = body(1, "c1", 5.0, NOON_S)
    request = {} if missing == "everything" else {k: v for k, v in request.items() if k != missing}
    assert 0.0 <= model.score(request).risk_score <= 1.0


def test_the_real_banks_own_request_is_understood():
    reply = DetectorApi().handle(
        "POST",
        "/score",
        {},
        {
            "transaction_id": "5268deb0",
            "cif_id": "5dc34239",
            "amount": 500.25,
            "currency": "USD",
            "merchant_id": "",
            "merchant_category": "",
            "channel": "mobile",
            "country": "",
            "timestamp": 1795360149.550835,
            "metadata": {"transaction_type": "transfer_internal", "description": "Payroll"},
        },
    )
    assert reply[0] == 200
    assert reply[1]["action"] == "APPROVE"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"amount": "much"}, "float_parsing"),
        ({"amount": -1}, "greater_than_equal"),
        ({"amount": [1]}, "float_type"),
        ({"amount": 1e999}, "finite_number"),
        ({"timestamp": {}}, "float_type"),
        ({"cif_id": 7}, "string_type"),
        ({"metadata": "x"}, "model_attributes_type"),
    ],
)
def test_malformed_fields_are_422(change, kind):
    api = DetectorApi()
    status, reply = api.handle("POST", "/score", {}, {**body(1, "c", 5.0, NOON_S), **change})
    assert (status, reply["detail"][0]["type"]) == (422, kind)
    assert api.handle("GET", "/stats", {}, None)[1]["transactions_processed"] == 0


def test_odd_metadata_is_ignored():
    request = body(
        1, "c", 5.0, NOON_S, latitude="north", longitude=999, device_id=7, counterparty_account_id=[]
    )
    assert FraudModel().score(request).action == "APPROVE"


def test_an_extreme_amount_or_time_is_scored():
    model = FraudModel()
    for amount, at_s in ((0.0, 0.0), (1e300, 1e15), (5.0, -1e15), (5.0, NOON_S)):
        assert 0.0 <= model.score(body(int(at_s), "c", amount, at_s)).risk_score <= 1.0


# -- the API -----------------------------------------------------------------------------


def test_a_score_reply_is_the_union_clients_read():
    status, reply = DetectorApi().handle("POST", "/score", {}, body(1, "c", 5.0, NOON_S))
    assert status == 200
    assert set(reply) == {
        *("transaction_id", "risk_score", "action", "reasons", "reason", "rule_hits", "model_scores"),
        *("features", "processing_time_ms", "model_version", "timestamp"),
    }
    assert reply["reason"] == f"Risk score: {reply['risk_score']:.3f}"
    assert set(reply["model_scores"]) == set(MODELS)
    json.dumps(reply, allow_nan=False)


def test_thresholds_and_bounds_hold_for_every_score(settled):
    model, town = settled
    for request in town.days(1, from_s=NOON_S):
        score = model.score(request)
        assert 0.0 <= score.risk_score <= 1.0
        exact = "BLOCK" if score.risk_score >= 0.8 else "REVIEW" if score.risk_score >= 0.5 else "APPROVE"
        assert score.action == exact
        assert list(score.reasons) == list(judge(score.features).hits)


def test_a_batch_is_a_bare_list_of_replies():
    api = DetectorApi()
    bodies = [body(n, "c", 5.0, NOON_S + n) for n in range(3)]
    status, replies = api.handle("POST", "/score/batch", {}, {"transactions": bodies})
    assert status == 200
    assert [reply["transaction_id"] for reply in replies] == [request["transaction_id"] for request in bodies]
    assert api.handle("POST", "/score/batch", {}, {})[0] == 422
    assert api.handle("POST", "/score/batch", {}, {"transactions": [{}] * 1_001})[0] == 422


def test_alerts_and_stats_count_what_was_flagged():
    api = DetectorApi()
    for number in range(60):
        request = body(number, "c", 1.0 + number, NOON_S + number, device_id=f"d{number}", channel="online")
        api.handle("POST", "/score", {}, request)
    stats = api.handle("GET", "/stats", {}, None)[1]
    alerts = api.handle("GET", "/alerts", {"limit": "5"}, None)[1]
    assert stats["transactions_processed"] == 60 == sum(stats["decisions"].values())
    assert alerts["total"] == 60 - stats["decisions"]["APPROVE"] > 5
    assert len(alerts["alerts"]) == 5
    assert alerts["alerts"][0]["transaction_id"] == "tx-c-59"
    assert api.handle("GET", "/alerts", {"limit": str(MAX_ALERTS + 1)}, None)[0] == 422


def test_other_routes():
    api = DetectorApi()
    assert api.handle("GET", "/health", {}, None)[1]["status"] == "healthy"
    assert len(api.handle("GET", "/rules", {}, None)[1]["rules"]) == len(RULES)
    assert api.handle("GET", "/score", {}, None) == (405, {"detail": "Method Not Allowed"})
    assert api.handle("POST", "/cases", {}, {}) == (404, {"detail": "Not Found"})


def test_feedback_is_counted_and_changes_no_score():
    api = DetectorApi()
    label = {"transaction_id": "never seen", "actual_fraud": True}
    assert api.handle("POST", "/feedback", {}, label)[0] == 200
    assert api.handle("POST", "/feedback", {}, {"transaction_id": 5})[0] == 422
    stats = api.handle("GET", "/stats", {}, None)[1]
    assert stats["feedback"] == {"caught": 0, "missed": 0, "false_positives": 0, "forgotten": 1}
    assert stats["fraud_detection_rate"] is None


def test_rule_names_and_weights_are_sound():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(0 < rule.weight < 1 and rule.model in MODELS for rule in RULES)
