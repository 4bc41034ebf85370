from dataclasses import replace

import pytest

from banksim.measure.figures import CampaignRow
from banksim.report.html import bands, charts
from tests.unit.report.make import busy_results, empty_results


def test_every_chart_has_its_figures_as_rows() -> None:
    for chart in charts(busy_results()).values():
        assert chart.spec and chart.rows, chart.key
        assert all(len(row) == len(chart.columns) for row in chart.rows)
        assert len(chart.rows) <= 100


def test_without_data_a_sentence() -> None:
    found = charts(empty_results())
    assert {chart.spec for chart in found.values()} == {None}
    assert {chart.key: chart.empty for chart in found.values()} == {
        "rate": "No transaction was offered.",
        "latency": "No transaction ended.",
        "load-quality": "No transaction ended.",
        "generator": "Its use of the machine was not sampled.",
        "recall": "No fraud was sent.",
        "scores": "No transaction was scored.",
        "pr": "There were not both fraud and genuine scores.",
        "cost": "There were not both fraud and genuine scores.",
        "campaigns": "No campaign ran.",
    }


def test_recall_bars_carry_interval_and_n() -> None:
    results = busy_results()
    (trace,) = charts(results)["recall"].spec["data"]
    rows = results.fraud.by_typology
    assert len(trace["y"]) == len(rows)
    assert any(f"n = {rows['card_testing'].transactions}" in label for label in trace["y"])
    place = next(i for i, label in enumerate(trace["y"]) if label.startswith("app scam"))
    row = rows["app_scam"]
    assert trace["x"][place] + trace["error_x"]["array"][place] == pytest.approx(row.recall_high)


def campaign(typology: str, first_sim_s: float, last_sim_s: float) -> CampaignRow:
    return CampaignRow("c", typology, 1, 0, 1, first_sim_s, last_sim_s, None, None, 0, 0)


def test_attack_bands_are_the_planned_ones_or_those_seen() -> None:
    results = busy_results()
    assert [name for name, _, _ in bands(results)] == ["card_testing", "account_takeover", "mule_network"]
    seen = [campaign("cycle", 100, 900), campaign("cycle", 800, 2_000), campaign("stack", 9_000, 9_900)]
    results = replace(results, planned=None, fraud=replace(results.fraud, campaigns=seen))
    assert bands(results) == [("cycle", 100, 2_000), ("stack", 9_000, 9_900)]
    all_day = replace(results.fraud, campaigns=[campaign("cycle", 0, 28_000)])
    assert bands(replace(results, fraud=all_day)) == []
