"""A condition that no step can ever judge is refused before the search begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from banksim.model import ScenarioError
from banksim.run.capacity import check_conditions
from banksim.run.plan import Mode, RunSettings
from banksim.scenario import parse_scenario

SCENARIO = """\
name: Conditions
duration_hours: 1
customers: 10
transaction_rate: {peak_tps: 1, off_peak_tps: 1}
"""


def settings(until: str, mode: Mode = Mode.DRY_RUN, invariant: str = "", **urls: Any) -> RunSettings:
    text = f"{SCENARIO}load: {{hold_seconds: 10, until: ['{until}']}}\n{invariant}\n"
    return RunSettings(parse_scenario(text, "conditions.yaml", urls), 1, 1.0, mode, Path())


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        check_conditions(settings(*args, **kwargs))
    return str(caught.value)


@pytest.mark.parametrize(
    "until",
    [
        "latency[nexum].p99 < 5s",
        "errors[bastion] < 1%",
        "balance_violations == 0",
        "peak_tps > 1",
        "recall > 1%",
    ],
)
def test_what_a_step_has_figures_for_is_taken(until: str) -> None:
    check_conditions(settings(until))


def test_without_a_search_there_is_nothing_to_refuse() -> None:
    scenario = parse_scenario(SCENARIO, "conditions.yaml", {})
    check_conditions(RunSettings(scenario, 1, 1.0, Mode.LIVE, Path()))


def test_balances_that_are_read_too_rarely_or_never_are_refused() -> None:
    often = refusal("balance_violations == 0", invariant="invariant: {every_seconds: 30}")
    assert "balance_violations == 0" in often and "read every 30 s, a step lasts 10 s" in often
    assert "not read" in refusal("balance_violations == 0", invariant="invariant: {enabled: false}")


def test_balances_that_no_worker_reads_are_refused() -> None:
    with pytest.raises(ScenarioError, match="with workers, balances are not read while the run goes on"):
        check_conditions(settings("balance_violations == 0"), workers=True)
    check_conditions(settings("errors < 1%"), workers=True)


def test_a_system_that_a_live_run_leaves_out_is_refused() -> None:
    urls = {"connections": {"nexum_url": "", "bastion_url": "http://localhost:1"}}
    assert "the run has no nexum" in refusal("latency[nexum].p99 < 1s", Mode.LIVE, **urls)
    assert "not read" in refusal("balance_violations == 0", Mode.LIVE, **urls)
    check_conditions(settings("latency[bastion].p99 < 1s", Mode.LIVE, **urls))


def test_what_is_watched_over_a_whole_run_is_refused() -> None:
    assert "whole run" in refusal("errors < 1% for 30s")
