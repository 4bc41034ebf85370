"""A typology of one's own: the example of docs/extending.md, run as it stands there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from banksim.measure.results import encode
from banksim.model import Kind, Label
from banksim.run.plan import Mode, RunSettings
from banksim.run.run import End
from banksim.scenario import load_scenario
from tests.integration.commands import ROOT, locust
from tests.integration.driver import Driver

EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def scenario_file(tmp_path: Path) -> Path:
    """The files of the page, as its reader would have them."""
    files = dict(EXAMPLE.findall((ROOT / "docs" / "extending.md").read_text("utf-8")))
    assert {"refund_abuse.py", "refunds.yaml"} <= set(files)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path / "refunds.yaml"


def test_the_example_of_the_page_runs(scenario_file: Path) -> None:
    scenario = load_scenario(scenario_file, environ={})
    settings = RunSettings(scenario, 7, scenario.speed_multiplier, Mode.DRY_RUN, scenario_file.parent / "out")
    driver = Driver(settings)
    run = driver.conduct()
    assert run.end is End.COMPLETED, run.message
    mine = [p for p in driver.planned if p.truth.typology == "refund_abuse"]
    assert len(mine) == 20
    assert {p.truth.label for p in mine} == {Label.FRAUD}
    kinds = Counter(p.transaction.kind for p in mine)
    assert kinds[Kind.PURCHASE] >= kinds[Kind.DEPOSIT] > 0
    assert run.results is not None
    assert encode(run.results)["fraud"]["by_typology"]["refund_abuse"]["transactions"] == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name\n", "No module named"),
        ("def (:\n", "SyntaxError"),
        (None, "no such file"),
    ],
)
def test_a_plugin_that_does_not_load_is_one_clear_message(
    scenario_file: Path, text: str | None, words: str
) -> None:
    plugin = scenario_file.parent / "refund_abuse.py"
    plugin.unlink() if text is None else plugin.write_text(text)
    done = locust(
        "--headless", "--scenario", str(scenario_file), "--dry-run", "--report-dir", str(scenario_file.parent)
    )
    output = done.stdout + done.stderr
    assert done.returncode in (1, 2)
    assert words in output
    assert str(plugin) in output
    assert "Traceback" not in output
