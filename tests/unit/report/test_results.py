import json

from banksim.measure import Measures, MeasureSettings
from banksim.model import At
from banksim.report import SCHEMA, build_results
from tests.unit.measure.make import ALERT, PASSED, end, fraud, planned
from tests.unit.report.make import PLANNED, RUN_INFO, busy_results, empty_results


def test_results_are_json_with_the_promised_keys() -> None:
    results = json.loads(json.dumps(busy_results(), allow_nan=False))
    assert results["schema"] == SCHEMA == 1
    assert {
        "run", "planned", "thresholds", "transactions", "rate", "fraud", "detection", "latency_ms",
        "warm_up", "calls", "errors", "scores", "timeline", "reconciliation", "limits",
        "latency_intervals_ms", "detection_by", "response_ranges", "quality_against_load", "generator",
        "slowest_calls", "failed_calls", "kafka",
        "invariant",
    } == set(results) - {"schema"}  # fmt: skip
    assert {"response", "service", "lag", "nexum", "bastion"} == set(results["latency_ms"])
    assert {"count", "mean", "p50", "p95", "p99", "p999", "max"} == set(results["latency_ms"]["lag"])


def test_everything_offered_is_accounted_for() -> None:
    counts = busy_results()["transactions"]
    parts = ("completed", "failed", "unknown", "dropped", "in_flight")
    assert counts["offered"] == sum(counts[name] for name in parts) > 6_000
    assert counts["in_flight"] == 3


def test_the_timeline_adds_up_to_the_whole() -> None:
    results = busy_results()
    for key, total in (("offered", "offered"), ("sent", "sent"), ("completed", "completed")):
        assert sum(point[key] for point in results["timeline"]) == results["transactions"][total]


def test_undefined_is_none_never_zero() -> None:
    results = empty_results()
    assert results["detection"]["recall"] is None
    assert results["rate"]["achieved_tps"] is None
    assert results["latency_ms"]["response"]["p99"] is None
    assert results["reconciliation"] is None and results["warm_up"] is None


def test_limits_name_what_was_missed() -> None:
    text = " ".join(busy_results()["limits"])
    for words in ("stand-ins", "were dropped", "had not ended", "no usable score"):
        assert words in text, words
    empty = " ".join(empty_results()["limits"])
    assert "interrupted" in empty and "Nothing was scored" in empty


def test_few_frauds_are_named() -> None:
    measures = Measures()
    for _ in range(5):
        end(measures, fraud(), ALERT)
    end(measures, planned(), PASSED)
    limits = " ".join(build_results(RUN_INFO, measures, PLANNED)["limits"])
    assert "Only 5 fraudulent transactions" in limits
    assert "6 more transactions ended than were offered" in limits


def test_a_warm_up_has_figures_of_its_own() -> None:
    measures = Measures(MeasureSettings(warm_up_s=60))
    end(measures, fraud(sim_s=10), PASSED, At(0, 10))
    end(measures, fraud(sim_s=70), ALERT, At(0, 70))
    results = build_results(RUN_INFO, measures)
    assert results["detection"]["recall"] == 1
    assert results["warm_up"]["detection"]["recall"] == 0
    assert results["warm_up"]["latency_ms"]["response"]["count"] == 1


def test_a_generator_at_its_limit_is_named() -> None:
    results = busy_results()
    assert "bottleneck" not in " ".join(results["limits"])
    measures = Measures()
    for second in range(40):
        cpu_percent = 97.0 if second % 10 == 0 else 40.0
        measures.resources(At(second, second), cpu_percent, 1e6, 1e3)
    text = " ".join(build_results(RUN_INFO, measures)["limits"])
    assert "bottleneck" in text and "4 of 40 samples" in text
