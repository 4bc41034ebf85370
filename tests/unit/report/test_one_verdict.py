"""One run, one verdict: every figure and word that stands in more than one place is the same there.

The runs were recorded from the real program (tests/recorded); the pages are compared in
tests/browser/test_verdict_page.py.
"""

from __future__ import annotations

from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from banksim.measure.formats import count, milliseconds, percent
from banksim.measure.results import Results
from banksim.measure.verdicts import Evidence, exit_code, judge
from banksim.model import ExitCode
from banksim.report.compare import compare_runs
from banksim.report.console import summary
from banksim.report.html import render_html
from banksim.report.write import junit_xml
from banksim.scenario.models import Goals
from tests.recorded import NAMES, recorded
from web_ext.listings import summary as listed

#: name → (first word of the overall verdict, exit code, kinds of the words; None: hangs on the machine)
EXPECTED: dict[str, tuple[str, int, tuple[str | None, str | None, str | None, str | None]]] = {
    "calm": ("PASSED", 0, ("pass", "pass", "pass", "pass")),
    "slow_bank": ("FAILED", 0, (None, "fail", "pass", None)),
    "hung_detector": ("FAILED", 0, (None, "pass", "pass", "fail")),
    "frozen_generator": ("FAILED", 0, ("fail", "pass", "pass", "pass")),
    "interrupted": ("STOPPED", 130, (None, "pass", "pass", None)),
    "failed_threshold": ("FAILED", 99, (None, "pass", "pass", "fail")),
    "money_differs": ("FAILED", 99, (None, "pass", "fail", "pass")),
    "outage": ("FAILED", 0, (None, "fail", "pass", "fail")),
    "capacity": ("PASSED", 0, (None, "none", "pass", "none")),
    "two_workers": ("PASSED", 0, (None, "pass", "pass", "pass")),
}


class Texts(HTMLParser):
    """What a reader of the page sees, without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._inside = ""
        self.texts: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data)


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(params=NAMES)
def results(request: pytest.FixtureRequest) -> Results:
    return recorded(request.param)


@pytest.mark.parametrize("name", NAMES)
def test_each_run_is_judged_as_it_went(name: str) -> None:
    found = recorded(name)
    overall, code, kinds = EXPECTED[name]
    assert found.verdict.overall.startswith(overall), found.verdict
    assert exit_code(found.run.end, found) is ExitCode(code)
    for word, kind in zip(found.verdict.words, kinds, strict=True):
        assert kind in (None, word.kind), word


def test_the_rules_of_today_come_to_the_recorded_verdict(results: Results) -> None:
    evidence = Evidence(
        goals=Goals(),
        planned=results.planned,
        transactions=results.transactions,
        rate=results.rate,
        detection=results.detection,
        latency_ms=results.latency_ms,
        response_parts=results.response_parts,
        currency=results.run.currency,
        generator=results.generator,
        invariant=results.invariant,
        thresholds=results.thresholds,
        reconciliation=results.reconciliation,
        run=results.run,
    )
    assert judge(evidence) == results.verdict


def test_the_report_says_what_results_json_says(results: Results) -> None:
    page = Texts(render_html(results)).text
    said = [results.verdict.overall, results.verdict.sentence]
    said += [text for word in results.verdict.words for text in (word.subject, word.word, word.sentence)]
    for tile in results.tiles:
        said += [tile.label, tile.value, tile.note, tile.word, tile.goal]
    said += [text for step in results.funnel for text in (step.label, step.value, step.note)]
    said += [text for row in results.thresholds for text in (row.expression, row.measured, row.reason)]
    said += results.limits
    assert [text for text in said if plain(text) not in page] == []


def test_the_terminal_says_what_results_json_says(results: Results) -> None:
    text = plain(summary(results))
    said = [results.verdict.overall, results.verdict.sentence]
    said += [part for word in results.verdict.words for part in (word.word, word.sentence)]
    response = next(tile for tile in results.tiles if tile.key == "response")
    said += [response.value, response.note]
    said += [part for row in results.thresholds for part in (row.expression, row.measured)]
    assert [part for part in said if plain(part) not in text] == []


def test_junit_says_what_results_json_says(results: Results) -> None:
    suite = ElementTree.fromstring(junit_xml(results))[0]
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["verdict"] == results.verdict.overall
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    for word in results.verdict.words:
        names = ("Money", "balances") if word.subject == "Money" else (word.subject,)
        for name in names:
            attributes = [value for one in cases[name] for value in one.attrib.values()]
            text = " ".join([*cases[name].itertext(), *attributes])
            assert word.sentence in text
            assert bool(cases[name].findall("failure")) is (word.kind == "fail")
            assert bool(cases[name].findall("skipped")) is (word.kind == "none")
    for row in results.thresholds:
        assert bool(cases[row.expression].findall("failure")) is not row.passed


def test_the_list_of_runs_shows_the_figures_of_the_tiles(results: Results) -> None:
    row, tiles = listed(results), {tile.key: tile for tile in results.tiles}
    assert (row["verdict"], row["verdict_kind"]) == (results.verdict.overall, results.verdict.kind)
    assert percent(row["recall"]) == tiles["recall"].value
    assert percent(row["coverage"]) == tiles["coverage"].value
    assert percent(row["error_share"]) == tiles["errors"].value
    assert milliseconds(row["p99_ms"]) == tiles["response"].value
    assert count(row["dropped"]) == tiles["dropped"].value


def test_scored_is_one_count(results: Results) -> None:
    found = results.detection
    steps = {step.key: step for step in results.funnel}
    assert steps["scored"].value == count(found.scored)
    coverage = next(tile for tile in results.tiles if tile.key == "coverage")
    assert coverage.note.startswith(f"{count(found.scored)} scored, {count(found.missing)} without")
    assert found.coverage == found.scored / (found.scored + found.missing + found.unasked)
    assert found.confusion.fraud + found.confusion.genuine == found.scored + found.missing
    if results.warm_up is None:
        assert sum(point.scored for point in results.timeline) == found.scored


def test_a_comparison_shows_the_same_figures_and_verdicts(results: Results) -> None:
    found = {row.figure.key: row for row in compare_runs(results, results).headline}
    assert found["recall"].a == results.detection.recall
    assert found["coverage"].a == pytest.approx(results.detection.coverage)
    assert found["errors"].a == pytest.approx(results.transactions.error_share)
    assert found["response_p99"].a == results.latency_ms["response"].p99


def test_what_was_planned_is_known_in_every_run(results: Results) -> None:
    """The counters of the fraud that was set out to be made are filled by real runs."""
    assert results.fraud.planned == sum(results.fraud.planned_by_typology.values()) > 0
    assert results.planned is not None and results.planned.fraud_by_typology
    assert set(results.fraud.by_typology) <= set(results.fraud.planned_by_typology)
