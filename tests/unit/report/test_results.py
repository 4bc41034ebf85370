import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from banksim.measure import Measures, MeasureSettings
from banksim.measure.figures import HistoryPlayed
from banksim.measure.results import SCHEMA, Results, Snapshot, decode, encode, json_schema, reference_table
from banksim.measure.summary import build_results, live
from banksim.model import At
from tests.unit.measure.make import ALERT, PASSED, START, end, fraud, planned
from tests.unit.report.make import ASKED, PLANNED, RUN, busy_results, busy_run, empty_results

REFERENCE_BEGIN = "<!-- generated from the types: begin -->"
ROOT = Path(__file__).resolve().parents[3]


def test_results_are_json_with_the_promised_keys() -> None:
    results = json.loads(json.dumps(encode(busy_results()), allow_nan=False))
    assert results["schema"] == SCHEMA == 2
    assert {
        "run", "planned", "thresholds", "transactions", "rate", "fraud", "detection", "latency_ms",
        "warm_up", "calls", "errors", "scores", "timeline", "reconciliation", "limits", "growth",
        "latency_intervals_ms", "detection_by", "response_ranges", "quality_against_load", "generator",
        "slowest_calls", "failed_calls", "kafka", "contest", "refusals", "completions",
        "invariant",
        "verdict", "tiles", "funnel", "response_parts", "partial", "made_at",
    } == set(results) - {"schema"}  # fmt: skip
    named = {"response", "service", "lag", "scored", "unscored", "nexum", "bastion"}
    assert named == set(results["latency_ms"])
    assert {"count", "mean", "p50", "p95", "p99", "p999", "max"} == set(results["latency_ms"]["lag"])


@pytest.mark.parametrize("results", [busy_results(), empty_results()], ids=["busy", "empty"])
def test_results_come_back_from_json_as_they_were(results: Results) -> None:
    assert decode(Results, json.loads(json.dumps(encode(results)))) == results


def test_what_is_not_a_result_is_named_by_its_first_wrong_key() -> None:
    data = encode(busy_results())
    data["rate"]["peak_over_s"] = "often"
    with pytest.raises(ValueError, match=r"^rate\.peak_over_s: "):
        decode(Results, data)


@pytest.mark.parametrize(("kind", "name"), [(Results, "results"), (Snapshot, "snapshot")])
def test_the_schemas_are_those_of_the_types(kind: type, name: str, request: pytest.FixtureRequest) -> None:
    path = ROOT / "web_ext" / "schemas" / f"{name}.json"
    text = json.dumps(json_schema(kind, name), indent=2) + "\n"
    if request.config.getoption("--update-docs"):
        path.write_text(text)
    assert path.read_text() == text


def test_the_reference_is_what_the_types_say(request: pytest.FixtureRequest) -> None:
    page, table = ROOT / "docs" / "reading-results.md", reference_table()
    before, begin, rest = page.read_text().partition(REFERENCE_BEGIN)
    if request.config.getoption("--update-docs"):
        page.write_text(f"{before}{begin}\n\n{table}")
        return
    assert rest.strip() == table.strip(), "run `pytest tests/unit/report/test_results.py --update-docs`"
    for one in (*fields(Results), *fields(Snapshot)):
        assert f"`{one.name}`" in table


def test_everything_offered_is_accounted_for() -> None:
    counts = busy_results().transactions
    parts = (counts.completed, counts.failed, counts.unknown, counts.dropped, counts.in_flight)
    assert counts.offered == sum(parts) > 6_000
    assert counts.in_flight == 0


def test_the_timeline_adds_up_to_the_whole() -> None:
    results = busy_results()
    for key in ("offered", "sent", "completed"):
        assert sum(getattr(point, key) for point in results.timeline) == getattr(results.transactions, key)


def test_undefined_is_none_never_zero() -> None:
    results = empty_results()
    assert results.detection.recall is None
    assert results.rate.achieved_tps is None
    assert results.latency_ms["response"].p99 is None
    assert results.reconciliation is None and results.warm_up is None


def test_what_was_planned_stands_next_to_what_was_sent() -> None:
    assert busy_results().planned == PLANNED
    for found in (busy_results().fraud, live(busy_run(), 288.0, ASKED).fraud):
        assert found.planned == sum(PLANNED.fraud_by_typology.values()) == 241
        assert found.planned_by_typology == PLANNED.fraud_by_typology
        assert set(found.by_typology) == set(found.planned_by_typology)


@pytest.mark.parametrize(
    ("played", "told"),
    [
        (HistoryPlayed(2, 900, 900, 0, 3.0), "told of the 900 transactions of the 2 days before it"),
        (HistoryPlayed(2, 900, 450, 7, 3.0), "told of 450 of the 900 transactions"),
        (HistoryPlayed(2, 900, 450, 7, 3.0), "; 7 of them were not taken. They are in no figure"),
        (HistoryPlayed(2, 900, 0, 0, 0.0), "were not played, so the detector started cold"),
    ],
)
def test_what_was_played_before_is_told(played: HistoryPlayed, told: str) -> None:
    text = " ".join(build_results(replace(RUN, history=played), Measures(), ASKED).limits)
    assert told in text


def test_limits_name_what_was_missed() -> None:
    measures = busy_run()
    measures.offered(START, 3)
    text = " ".join(build_results(RUN, measures, ASKED).limits)
    for words in ("stand-ins", "were dropped", "had not ended", "no usable score"):
        assert words in text, words
    empty = " ".join(empty_results().limits)
    assert "interrupted" in empty and "nothing can be said about detection" in empty


def test_few_frauds_are_named() -> None:
    measures = Measures()
    for _ in range(5):
        end(measures, fraud(), ALERT)
    end(measures, planned(), PASSED)
    limits = " ".join(build_results(RUN, measures, ASKED).limits)
    assert "Only 5 fraudulent transactions" in limits
    assert "6 more transactions ended than were offered" in limits


def test_a_warm_up_has_figures_of_its_own() -> None:
    measures = Measures(MeasureSettings(warm_up_s=60))
    end(measures, fraud(sim_s=10), PASSED, At(0, 10))
    end(measures, fraud(sim_s=70), ALERT, At(0, 70))
    results = build_results(RUN, measures, ASKED)
    assert results.detection.recall == 1
    assert results.warm_up is not None
    assert results.warm_up.detection.recall == 0
    assert results.warm_up.latency_ms["response"].count == 1


def test_a_generator_at_its_limit_is_named() -> None:
    results = busy_results()
    assert "bottleneck" not in " ".join(results.limits)
    measures = Measures()
    for second in range(40):
        cpu_percent = 97.0 if second % 10 == 0 else 40.0
        measures.resources(At(second, second), cpu_percent, 1e6, 1e3)
    text = " ".join(build_results(RUN, measures, ASKED).limits)
    assert "bottleneck" in text and "4 of 40 samples" in text


def test_a_partial_result_says_so_and_judges_nothing_as_final() -> None:
    found = build_results(replace(RUN, end="running"), busy_run(), ASKED, partial=True)
    assert found.partial and found.made_at and found.timeline == []
    assert found.verdict.overall == "RUNNING"
    assert "The run was" not in " ".join(found.limits)
