"""junit.xml, read back as a pipeline does."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from banksim.report.write import junit_xml
from tests.unit.report.make import busy_results, empty_results

ROWS = [
    {"expression": "recall >= 90%", "value": 0.94, "measured": "94%", "passed": True, "reason": ""},
    {
        "expression": "fpr <= 1%",
        "value": 0.02,
        "measured": "2%",
        "passed": False,
        "reason": "measured 2%, expected at most 1%",
    },
]


def suite_of(results: dict[str, Any]) -> ElementTree.Element:
    text = junit_xml(results)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    suites = list(ElementTree.fromstring(text))
    assert [suite.tag for suite in suites] == ["testsuite"]
    return suites[0]


def test_each_threshold_is_a_case_beside_the_run() -> None:
    suite = suite_of({**busy_results(), "thresholds": ROWS})
    assert suite.attrib == {
        "name": "banksim.fraud_attack",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "0",
        "time": "288.000",
        "timestamp": "2026-02-03T10:00:00+00:00",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["run", "recall >= 90%", "fpr <= 1%"]
    assert [len(case.findall("failure")) for case in cases] == [0, 0, 1]
    failure = cases[2].find("failure")
    assert failure is not None
    assert failure.get("message") == "measured 2%, expected at most 1%"
    assert cases[1].findtext("system-out") == "measured 94%"
    assert {p.get("name"): p.get("value") for p in suite.iter("property")}["seed"] == "42"


def test_a_run_without_thresholds_has_one_case() -> None:
    suite = suite_of(busy_results())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "0")


@pytest.mark.parametrize(
    ("end", "errors"), [("stopped", 0), ("aborted", 0), ("interrupted", 1), ("failed", 1)]
)
def test_a_run_that_was_cut_short_is_an_error_unless_somebody_meant_it(end: str, errors: int) -> None:
    results = empty_results()
    results["run"]["end"] = end
    suite = suite_of(results)
    assert suite.get("errors") == str(errors)
    assert len(list(suite.iter("error"))) == errors


def test_what_xml_cannot_hold_does_not_break_the_file() -> None:
    hostile = 'x]]>&<"\x00\x1b[31m\ud800é'
    row = {"expression": hostile, "value": None, "passed": False, "reason": hostile}
    results = {**busy_results(), "thresholds": [row]}
    results["run"]["scenario"] = {**results["run"]["scenario"], "name": hostile}
    name = suite_of(results).findall("testcase")[1].get("name")
    assert name == 'x]]>&<"\ufffd\ufffd[31m\ufffdé'
