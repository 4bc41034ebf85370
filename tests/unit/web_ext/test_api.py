"""Starting, choosing, results and health over REST; and that the document tells every route."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from banksim.measure import Measures
from banksim.measure.results import TargetRow, encode
from banksim.measure.summary import build_results
from tests.unit.report.make import ASKED, RUN

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
PLACES = {"<run_id>": "RUN", "<before>": "RUN", "<after>": "RUN", "<name>": "FILE", "<digest>": "DIGEST"}


def documented():
    """(method, address) of every route the document names."""
    return {(method, path) for method, path in re.findall(r"`(GET|POST) (/[^`?]*)", DOCUMENT)}


def test_every_route_is_documented_and_every_documented_one_is_there(site):
    routes = set()
    for rule in site.app.url_map.iter_rules():
        if not rule.endpoint.startswith("banksim."):
            continue
        address = str(rule)
        for place, name in PLACES.items():
            address = address.replace(place, name)
        routes.add(("POST" if "POST" in rule.methods else "GET", address))
    assert routes == documented() - {("POST", "/banksim-logout")}


def test_a_start_passes_its_options_on_as_a_form_would(make_site):
    site = make_site(state="idle")
    body = {"scenario": "quiet", "speed": 50, "seed": 7, "target_mode": "dry-run", "customers": None}
    answer = site.client.post("/api/control/start", json=body)
    assert answer.status_code == 202
    assert answer.get_json()["state"] == "running"
    options = {"scenario": "quiet", "speed": "50", "seed": "7", "target_mode": "dry-run"}
    assert site.view.starts == [(options, False)]


def test_an_empty_start_takes_what_is_selected(make_site):
    site = make_site(state="idle")
    assert site.client.post("/api/control/start").status_code == 202
    assert site.view.starts == [({}, False)]


def test_a_run_under_way_is_only_ended_when_asked(site):
    refused = site.client.post("/api/control/start", json={"scenario": "quiet"})
    assert refused.status_code == 409
    assert "under way" in refused.get_json()["error"]
    assert site.view.starts == []
    assert site.client.post("/api/control/start", json={"switch": True}).status_code == 202
    assert site.view.starts == [({}, True)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no valid JSON"),
        (b"[]", "expected a JSON object"),
        (b'{"report_dir": "/etc"}', "report_dir: expected one of scenario"),
        (b'{"scenario": ["demo"]}', "scenario: expected text or a number"),
        (b'{"speed": true}', "speed: expected text or a number"),
        (b'{"switch": "yes"}', "switch: expected true or false"),
        (b'{"scenario": "nowhere"}', "no scenario of that name; known: demo"),
        (b'{"x": "' + b"x" * 5000 + b'"}', "expected a short JSON object"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_words(make_site, body, said):
    site = make_site(state="idle")
    answer = site.client.post("/api/control/start", data=body)
    assert answer.status_code == 400
    assert said in answer.get_json()["error"]
    assert site.view.starts == []


def test_a_check_starts_nothing_and_says_what_a_start_would(make_site):
    site = make_site(state="idle")
    good = site.client.post("/api/control/check", json={"threshold": ""})
    assert (good.status_code, good.get_json()) == (200, {"message": "No threshold is set."})
    bad = site.client.post("/api/control/check", json={"threshold": "nonsense"})
    assert bad.status_code == 400 and "'nonsense'" in bad.get_json()["error"]
    assert site.client.post("/api/control/check", data=b"[]").status_code == 400
    assert site.view.starts == []


def test_a_scenario_is_chosen_for_the_next_start(site):
    assert (
        site.client.post("/api/control/scenario", json={"scenario": "quiet"}).get_json()["selected"]
        == "quiet"
    )
    for body in ({}, {"scenario": 3}, {"scenario": "../secret"}):
        assert site.client.post("/api/control/scenario", json=body).status_code == 400
    assert site.view.selected == "quiet"


def test_scenarios_tell_what_does_not_load(site):
    found = site.client.get("/api/scenarios").get_json()
    assert [card["name"] for card in found["scenarios"]] == ["demo", "quiet"]
    assert found["broken"][0]["error"].startswith("duration_hours")


def test_the_feed_as_csv_holds_no_formula(make_site):
    site = make_site(customer="=cmd()", merchant="<script>alert(1)</script>")
    site.clock.now_s = 4
    answer = site.client.get("/api/feed.csv")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 48
    assert {row["customer"] for row in rows} == {"'=cmd()"}
    assert "<script>alert(1)</script>" in {row["merchant"] for row in rows}


def test_the_feed_is_read_from_a_number_on(site):
    site.clock.now_s = 3
    first = site.client.get("/api/feed").get_json()
    assert [item["seq"] for item in first["items"]] == list(range(36))
    assert site.client.get(f"/api/feed?since={first['next']}").get_json()["items"] == []
    assert site.client.get("/api/feed?since=x").status_code == 400


def test_results_so_far_and_none_before_a_run(make_site, run_folder):
    assert make_site(state="idle").client.get("/api/results.json").status_code == 404
    site = make_site(report_dir=run_folder)
    assert site.client.get("/api/results.json").get_json()["partial"] is True
    (run_folder / "run-1" / "results.json").write_text('{"schema": 1}')
    assert site.client.get("/api/results.json?run=run-1", buffered=True).get_json() == {"schema": 1}
    for name in ("run-2", "..", "../..", "run-1/..", ""):
        assert site.client.get("/api/results.json", query_string={"run": name}).status_code == 404


def test_a_files_download_has_the_runs_name(make_site, run_folder):
    site = make_site(report_dir=run_folder)
    answer = site.client.get("/banksim/report/run-1/timeline.csv?download=1", buffered=True)
    assert "run-1-timeline.csv" in answer.headers["Content-Disposition"]


def test_health_is_degraded_by_a_target_that_fails(site):
    assert site.client.get("/api/health").get_json()["status"] == "ok"
    whole = site.view.status
    failing = [TargetRow(name="Nexum", url="", ok=False, detail="refused")]
    site.view.status = lambda: replace(whole(), targets=failing)
    answer = site.client.get("/api/health").get_json()
    assert (answer["status"], answer["failing"]) == ("degraded", ["Nexum"])


@pytest.mark.parametrize(
    "page", ["", "control", "feed", "metrics", "detection", "timeline", "customers", "results"]
)
def test_every_page_is_served_with_the_scenarios_theme(make_site, page):
    site = make_site(dashboard={"theme": "dark"})
    answer = site.client.get(f"/banksim/{page}")
    assert answer.status_code == 200
    assert 'data-default-theme="dark"' in answer.text
    addresses = [part.split('"')[0] for part in answer.text.replace('src="', 'href="').split('href="')[1:]]
    for address in {address for address in addresses if address.startswith("/")}:
        assert site.client.get(address, buffered=True).status_code in (200, 308), address


def test_two_runs_are_compared_and_what_is_none_is_said(make_site, run_folder):
    site = make_site(report_dir=run_folder)
    results = run_folder / "run-1" / "results.json"
    assert site.client.get("/banksim/compare/run-1/run-1").status_code == 404
    results.write_text("{}")
    refused = site.client.get("/banksim/compare/run-1/run-1")
    assert refused.status_code == 409
    assert "cannot be compared" in refused.get_json()["error"]
    named = replace(RUN, scenario=replace(RUN.scenario, name="<b>day</b>"))
    results.write_text(json.dumps(encode(build_results(named, Measures(), ASKED))))
    page = site.client.get("/banksim/compare/run-1/run-1")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<b>day</b>" not in page.text


def test_customers_come_by_what_they_did_and_the_truth_only_when_asked_for(make_site):
    site = make_site()
    site.clock.now_s += 100
    plain = site.client.get("/api/customers?sort=spent_cents").get_json()
    spent = [float(row["spent"]) for row in plain["rows"]]
    assert len(spent) == 100 and spent == sorted(spent, reverse=True) and spent[0] > 0
    assert {row["fraud"] for row in plain["rows"]} == {None}
    site.clock.now_s += 100
    true = site.client.get("/api/customers?sort=fraud&truth=1").get_json()
    fraud = [row["fraud"] for row in true["rows"]]
    assert fraud == sorted(fraud, reverse=True) and fraud[0] > 0
    rest = site.client.get("/api/customers?sort=fraud&truth=1&from=100").get_json()
    assert len(rest["rows"]) == rest["acted"] - 100


@pytest.mark.parametrize(
    ("query", "said"),
    [("sort=fraud", "sort: expected one of"), ("from=-1", "from: expected a number from 0")],
)
def test_customers_asked_for_wrongly_are_refused_in_words(site, query, said):
    answer = site.client.get(f"/api/customers?{query}")
    assert answer.status_code == 400 and said in answer.get_json()["error"]
