"""Routes: what they answer, and what they refuse to say."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from banksim.report.charts_frame import PLOTLY
from tests.unit.web_ext.fakes import HOSTILE
from web_ext import register
from web_ext.api import assets


def first_event(response):
    """Name and data of the first event of a stream."""
    chunk = next(iter(response.response)).decode()
    name = next(line[7:] for line in chunk.splitlines() if line.startswith("event: "))
    data = next(line[6:] for line in chunk.splitlines() if line.startswith("data: "))
    return name, json.loads(data)


def test_page_is_served_with_its_own_scripts_only(site):
    page = site.client.get("/banksim/")
    assert page.status_code == 200
    assert f"/banksim/static/{assets().digest}/live.js" in page.text
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text


def test_address_without_slash_leads_to_the_page(site):
    assert site.client.get("/banksim", follow_redirects=True).status_code == 200


def test_embedded_page_hides_what_locust_shows(site):
    assert 'class="embedded"' in site.client.get("/banksim/?embed=1").text
    assert 'class="embedded"' not in site.client.get("/banksim/").text


def test_every_address_in_the_page_exists(site):
    page = site.client.get("/banksim/").text
    addresses = [part.split('"')[0] for part in page.replace('src="', 'href="').split('href="')[1:]]
    local = [address for address in addresses if address.startswith("/")]
    assert len(local) >= 6
    for address in local:
        assert site.client.get(address, buffered=True).status_code in (200, 308), address


def test_all_modules_import_only_files_that_are_served():
    found = assets().contents
    for name, content in found.items():
        for line in content.decode().splitlines():
            if line.startswith("import ") and ' from "' in line:
                assert line.split('from "./')[1].split('"')[0] in found, name


def test_no_script_writes_markup():
    for name, content in assets().contents.items():
        if name == PLOTLY:  # not ours; it gets no text with markup in it (axis.js, `plain`)
            continue
        for way in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("):
            assert way not in content, (name, way)


def test_page_lives_under_the_base_path(make_site):
    site = make_site(base="/bank")
    page = site.client.get("/bank/banksim/")
    assert page.status_code == 200
    assert 'href="/bank/"' in page.text
    assert f'src="/bank/banksim/static/{assets().digest}/live.js"' in page.text
    assert '"base": "/bank"' in page.text
    assert site.client.get("/banksim/").status_code == 404
    assert site.client.get("/bank/api/status").get_json()["state"] == "running"


def test_static_files_are_kept_for_good_under_their_digest(site):
    kept = site.client.get(f"/banksim/static/{assets().digest}/tokens.css")
    assert "--bar: #" in kept.text
    assert "immutable" in kept.headers["Cache-Control"]
    assert kept.mimetype == "text/css"
    other = site.client.get("/banksim/static/0000/tokens.css")
    assert "immutable" not in other.headers["Cache-Control"]
    assert site.client.get("/banksim/static/0000/absent.js").status_code == 404
    assert site.client.get("/banksim/static/0000/..%2fpages.py").status_code == 404


def test_static_files_are_sent_compressed_and_whole(site):
    address = f"/banksim/static/{assets().digest}/{PLOTLY}"
    packed = site.client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == site.client.get(address).data == assets().contents[PLOTLY]
    assert "immutable" in packed.headers["Cache-Control"]


def test_the_first_load_of_a_page_stays_small(site):
    """Everything that any page asks for on a first visit, as it goes over the network."""
    html = site.client.get("/banksim/").data
    assert len(html) + sum(map(len, assets().packed.values())) < 520_000


def test_status_and_metrics_are_json_without_nan(site):
    site.clock.now_s = 5
    assert site.client.get("/api/status").get_json()["scenario"]["name"] == "demo"
    whole = site.view.snapshot()
    broken = replace(whole.latency_ms["bastion"], p99=float("nan"))
    site.view.snapshot = lambda: replace(whole, latency_ms=whole.latency_ms | {"bastion": broken})
    metrics = site.client.get("/api/metrics")
    assert "NaN" not in metrics.text
    assert metrics.get_json()["latency_ms"]["bastion"]["p99"] is None
    assert metrics.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("action", ["pause", "resume", "stop"])
def test_control_passes_the_action_on(site, action):
    assert site.client.post(f"/api/control/{action}").status_code == 200
    assert site.view.controls == [(action, None)]


@pytest.mark.parametrize("action", ["pause", "resume", "stop", "speed"])
def test_control_by_get_is_not_allowed_and_changes_nothing(site, action):
    answer = site.client.get(f"/api/control/{action}")
    assert answer.status_code == 405
    assert answer.get_json() == {"error": "This address does not take that method."}
    assert "POST" in answer.headers["Allow"]
    assert site.view.controls == []


@pytest.mark.parametrize("multiplier", [0.1, 1, 200, 10_000])
def test_speed_within_limits_is_passed_on(site, multiplier):
    answer = site.client.post("/api/control/speed", json={"multiplier": multiplier})
    assert answer.get_json()["speed"] == multiplier
    assert site.view.controls == [("speed", float(multiplier))]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[200]",
        b"{}",
        b'{"multiplier": null}',
        b'{"multiplier": true}',
        b'{"multiplier": "200"}',
        b'{"multiplier": 0}',
        b'{"multiplier": -1}',
        b'{"multiplier": 10000.1}',
        b'{"multiplier": NaN}',
        b'{"multiplier": 1e999}',
        b'{"multiplier": 200, "x": "' + b"x" * 5000 + b'"}',
    ],
)
def test_any_other_speed_is_refused_with_what_was_expected(site, body):
    answer = site.client.post("/api/control/speed", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "a number from 0.1 to 10000" in answer.get_json()["error"]
    assert site.view.controls == []


def test_what_cannot_be_done_now_is_said_in_words(make_site):
    site = make_site(state="idle")
    answer = site.client.post("/api/control/pause")
    assert answer.status_code == 409
    assert answer.get_json() == {"error": "Cannot pause: no run is going on."}


def test_a_fault_shows_no_traceback_and_no_detail(site):
    site.view.status = lambda: {}[HOSTILE]
    answer = site.client.get("/api/status")
    assert answer.status_code == 500
    assert answer.get_json() == {"error": "Something went wrong here; Locust's log says what."}


def test_unknown_addresses_answer_in_words_and_locust_keeps_its_own(site):
    assert site.client.get("/api/nothing").get_json() == {"error": "There is nothing at this address."}
    assert site.client.get("/elsewhere").mimetype == "text/html"


def test_files_of_a_run_are_served_and_nothing_else(make_site, run_folder):
    site = make_site(report_dir=run_folder)
    report = site.client.get("/banksim/report/run-1/report.html", buffered=True)
    assert report.text == "<h1>Report</h1>"
    assert "default-src 'none'" in report.headers["Content-Security-Policy"]
    assert report.headers["X-Content-Type-Options"] == "nosniff"
    assert site.client.get("/banksim/report/run-1/timeline.csv", buffered=True).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "run-1/absent.html",
        "run-2/report.html",
        "run-1/link.txt",
        "run-1/..%2f..%2fsecret.txt",
        "../secret.txt",
        "..%2f..%2fsecret.txt",
        "run-1/../../secret.txt",
        "%2e%2e/secret.txt",
        "./secret.txt",
        "run-1/%00report.html",
        "run-1/.hidden",
        "run-1/",
        "run-1/" + "x" * 300,
    ],
)
def test_a_path_cannot_leave_the_run(make_site, run_folder, address):
    answer = make_site(report_dir=run_folder).client.get(f"/banksim/report/{address}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_first_message_of_the_stream_is_the_whole_state(site):
    site.clock.now_s = 4
    response = site.client.get("/banksim/events")
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    name, state = first_event(response)
    assert name == "state"
    assert set(state) == {"status", "snapshot", "windows", "timeline", "feed"}
    assert state["timeline"]["next"] == len(state["timeline"]["points"]) == 4
    assert state["feed"]["items"][-1]["seq"] == state["feed"]["next"] - 1
    response.close()


def test_a_stream_too_many_is_refused_and_a_place_comes_free(site):
    streams = [site.client.get("/banksim/events") for _ in range(3)]
    for stream in streams:
        first_event(stream)
    refused = site.client.get("/banksim/events")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert "3 pages are watching" in refused.get_json()["error"]
    streams[0].close()
    assert site.client.get("/banksim/events").status_code == 200


def test_a_stream_closed_before_its_first_byte_gives_its_place_back(site):
    site.client.get("/banksim/events").close()
    assert site.hub.clients == 0


def test_hostile_names_travel_as_json_only(make_site):
    site = make_site(customer=HOSTILE)
    site.clock.now_s = 2
    assert "onerror" not in site.client.get("/banksim/").text
    _, state = first_event(site.client.get("/banksim/events"))
    assert state["feed"]["items"][0]["customer"] == HOSTILE


def test_registering_without_a_web_ui_says_so():
    with pytest.raises(ValueError, match="no web UI"):
        register(SimpleNamespace(web_ui=None), None)
