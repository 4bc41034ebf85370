"""junit.xml, read back as a pipeline does."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from banksim.measure.results import Results
from banksim.report.write import junit_xml
from tests.unit.report.make import RUN, busy_results, empty_results, threshold

ROWS = [
    threshold("recall >= 90%", "94%", "at least 90%"),
    threshold("fpr <= 1%", "2%", "at most 1%", "measured 2%, expected at most 1%"),
]


def suite_of(results: Results) -> ElementTree.Element:
    text = junit_xml(results)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    suites = list(ElementTree.fromstring(text))
    assert [suite.tag for suite in suites] == ["testsuite"]
    return suites[0]


VERDICT_CASES = ["Load", "Bank", "Money", "balances", "Detector"]


def test_each_threshold_and_each_word_is_a_case_next_to_the_run() -> None:
    suite = suite_of(busy_results(ROWS))
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    assert list(cases) == ["run", *VERDICT_CASES, "recall >= 90%", "fpr <= 1%"]
    failed = [name for name, case in cases.items() if case.findall("failure")]
    assert failed == ["Money", "balances", "Detector", "fpr <= 1%"]
    assert suite.attrib == {
        "name": "banksim.fraud_attack",
        "tests": "8",
        "failures": "4",
        "errors": "0",
        "skipped": "0",
        "time": "288.000",
        "timestamp": "2026-02-03T10:00:00+00:00",
    }
    failure = cases["fpr <= 1%"].find("failure")
    assert failure is not None
    assert failure.get("message") == "measured 2%, expected at most 1%"
    assert cases["recall >= 90%"].findtext("system-out") == "measured 94%"
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert (properties["seed"], properties["verdict"]) == ("42", "FAILED")


def test_a_run_without_thresholds_has_the_cases_of_its_verdict() -> None:
    cases = suite_of(busy_results()).findall("testcase")
    assert [case.get("name") for case in cases] == ["run", *VERDICT_CASES]


def test_a_word_that_was_not_judged_is_skipped() -> None:
    suite = suite_of(empty_results("completed"))
    assert suite.get("skipped") == "5"
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")  # nothing was measured


@pytest.mark.parametrize(
    ("end", "errors"), [("stopped", 0), ("aborted", 0), ("interrupted", 1), ("failed", 1)]
)
def test_a_run_that_was_cut_short_is_an_error_unless_somebody_meant_it(end: str, errors: int) -> None:
    suite = suite_of(busy_results(end=end))
    assert suite.get("errors") == str(errors)
    assert len(list(suite.iter("error"))) == errors


def test_what_xml_cannot_hold_does_not_break_the_file() -> None:
    hostile = 'x]]>&<"\x00\x1b[31m\ud800é'
    row = threshold(hostile, "n/a", "", hostile)
    results = busy_results([row], scenario=replace(RUN.scenario, name=hostile))
    name = suite_of(results).findall("testcase")[-1].get("name")
    assert name == 'x]]>&<"\ufffd\ufffd[31m\ufffdé'
