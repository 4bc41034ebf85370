import pytest

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
    rows = results["fraud"]["by_typology"]
    assert len(trace["y"]) == len(rows)
    assert any(f"n = {rows['card_testing']['transactions']}" in label for label in trace["y"])
    place = next(i for i, label in enumerate(trace["y"]) if label.startswith("app scam"))
    row = rows["app_scam"]
    assert trace["x"][place] + trace["error_x"]["array"][place] == pytest.approx(row["recall_high"])


def test_attack_bands_are_the_planned_ones_or_those_seen() -> None:
    results = busy_results()
    assert [name for name, _, _ in bands(results)] == ["card_testing", "account_takeover", "mule_network"]
    results["planned"] = None
    results["fraud"]["campaigns"] = [
        {"typology": "cycle", "first_sim_s": 100, "last_sim_s": 900},
        {"typology": "cycle", "first_sim_s": 800, "last_sim_s": 2_000},
        {"typology": "stack", "first_sim_s": 9_000, "last_sim_s": 9_900},
    ]
    assert bands(results) == [("cycle", 100, 2_000), ("stack", 9_000, 9_900)]
    results["fraud"]["campaigns"] = [{"typology": "cycle", "first_sim_s": 0, "last_sim_s": 28_000}]
    assert bands(results) == []
