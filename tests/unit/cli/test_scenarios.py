"""The table of scenarios and the outlook on a run say what a user asks for, in numbers that agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from banksim.cli.main import main
from banksim.cli.scenarios import outlook, scenario_table
from banksim.run.plan import build_parts
from banksim.scenario import load_scenario, parse_scenario
from banksim.scenario.loader import SHIPPED_FOLDER
from tests.unit.scenario import examples


def text_of(extra: str) -> str:
    return "\n".join(outlook(parse_scenario(examples.MINIMAL + extra)))


def shipped(name: str) -> str:
    return "\n".join(outlook(load_scenario(SHIPPED_FOLDER / f"{name}.yaml", environ={})))


def test_the_table_has_a_row_for_each_scenario_and_its_columns_stand_under_each_other() -> None:
    scenario = parse_scenario(examples.MINIMAL + "description: Something to see\n")
    head, row = scenario_table([("mine", scenario)])
    assert head.split()[:3] == ["name", "simulated", "takes"]
    for column, cell in (("takes", "14 min 24 s"), ("customers", "500"), ("fraud", "0.10%")):
        assert row.index(cell) == head.index(column)
    assert "5, at most 10" in row.replace("5.33", "5") and row.endswith("Something to see")


def test_a_narrow_terminal_cuts_what_it_is_and_nothing_else() -> None:
    scenario = parse_scenario(examples.MINIMAL + f"description: {'long ' * 40}\n")
    lines = list(scenario_table([("mine", scenario)], width=90))
    assert all(len(line) <= 90 for line in lines) and lines[1].endswith("…")
    assert "0.10%" in lines[1]


def test_the_outlook_says_length_rate_size_and_fraud() -> None:
    text = text_of("fraud: {rate: 0.1, patterns: [{type: card_testing, name: probe, count: 70}]}\n")
    for part in ("Fragment", "24 h at 100x = 14 min 24 s", "TPS on average", "10 TPS from Mon 08:00"):
        assert part in text
    assert re.search(r"probe \(card_testing\) +70 +\d+  70 on top of the rate", text)


def test_it_says_when_and_after_what() -> None:
    attack = shipped("fraud_attack")
    assert "20% of the rate, from 2:00 to 4:00, where card_testing succeeded" in attack
    assert "history       2 days before it are played first, about 16,416 transactions" in attack
    week = shipped("multi_day_attack")
    assert re.search(r"bulk_tests \(card_testing\) +400 +1  400 on top of the rate, phase card testing", week)


def test_campaigns_are_those_of_the_plan() -> None:
    scenario = load_scenario(SHIPPED_FOLDER / "fraud_attack.yaml", {"seed": 5}, environ={})
    specs = [spec for spec in build_parts(scenario, 5, 100.0).desk.specs if spec.typology == "card_testing"]
    text = "\n".join(outlook(scenario))
    assert re.search(rf"card_testing +{sum(spec.size for spec in specs)} +{len(specs)} ", text)
    assert "as seed 5 plans it" in text


def test_a_search_says_how_it_climbs() -> None:
    text = shipped("capacity")
    assert "from 50 TPS, ×1.5 every 20 s, until one fails: response_time.p99 < 500ms" in text
    assert "= at most 24 min" in text


def test_without_patterns_the_usual_mix_is_shown() -> None:
    text = text_of("fraud: {rate: 0.05}\n")
    assert "usual mix" in text and "note: fraud.patterns names no kind of fraud" in text


def test_no_fraud_no_rows() -> None:
    assert "0.00% of them" in text_of("fraud: {rate: 0, decoy_rate: 0}\n")


def test_a_wrong_file_is_told_and_the_others_still_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\nduration_hours: -1\n")
    assert main(["validate", str(wrong), "demo"]) == 2
    said = capsys.readouterr()
    assert "duration_hours: expected a number above 0" in said.err and "5-Minute Demo" in said.out


def test_all_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {path.stem for path in SHIPPED_FOLDER.glob("*.yaml")} < listed


MY_TEST = """
name: My Test Scenario
duration_hours: 1
speed_multiplier: 60
customers: 50
transaction_rate: {peak_tps: 5, off_peak_tps: 1, business_hours: [9, 17]}
"""


def test_what_is_probably_not_meant_is_noted() -> None:
    fraud = "fraud: {rate: 0.05, patterns: [{type: velocity_attack}]}\n"
    text = "\n".join(outlook(parse_scenario(MY_TEST + fraud)))
    assert "note: transaction_rate.peak_tps is never reached: business_hours (9:00 to 17:00)" in text
    assert re.search(r"note: velocity_attack gets \d transactions, and one campaign usually has \d\d", text)
    day = "\n".join(outlook(parse_scenario(MY_TEST.replace("hours: 1\n", "hours: 24\n") + fraud)))
    assert "never reached" not in day and "gets" not in day


def test_two_patterns_of_one_type_have_a_row_each() -> None:
    two = "[{type: velocity_attack}, {type: velocity_attack, count: 70}]"
    text = text_of(f"fraud: {{rate: 0.05, patterns: {two}}}\n")
    rows = [line.split() for line in text.splitlines() if line.startswith("  velocity_attack ")]
    assert [row[1] for row in rows][1] == "70" and int(rows[0][1].replace(",", "")) > 70
    assert "100% of the rate" in " ".join(rows[0]) and "70 on top of the rate" in " ".join(rows[1])
