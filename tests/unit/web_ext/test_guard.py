"""Who may see and steer a run."""

from __future__ import annotations

import io

import pytest

from web_ext.guard import is_loopback, trusted_hosts

PAGES = {
    f"/banksim/{slug}"
    for slug in ("", "control", "feed", "metrics", "detection", "timeline", "customers", "results")
}

VALUES = {"digest": "0000", "name": "live.js", "run_id": "run-1", "before": "run-1", "after": "run-1"}


def our_routes(app):
    """(method, address) of every route of ours, with values in their places."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("banksim."):
            address = str(rule)
            for name, value in VALUES.items():
                address = address.replace(f"<{name}>", value)
            if rule.websocket:
                continue  # the same address without an upgrade is asked below, with one in test_websocket.py
            yield ("POST" if "POST" in rule.methods else "GET"), address


def test_the_routes_are_all_there(site):
    found = {address for _, address in our_routes(site.app)}
    assert {"/banksim/", "/banksim/events", "/api/status", "/api/metrics"} <= found
    assert {
        f"/api/control/{action}" for action in ("pause", "resume", "stop", "speed", "start", "scenario")
    } <= found
    assert found >= PAGES
    assert {"/ws", "/api/feed.csv", "/api/results.json", "/api/scenarios", "/api/health"} <= found
    assert not any("<" in address for address in found)


def test_login_refuses_anonymous_everywhere(make_site):
    site = make_site(login=True)
    site.set_up_login()
    for method, address in our_routes(site.app):
        answer = site.client.open(address, method=method)
        if address in PAGES:
            assert answer.status_code == 302
            assert answer.headers["Location"].endswith("/login")
        else:
            assert answer.status_code == 401, address
            assert "Sign in first" in answer.get_json()["error"]
    assert site.view.controls == []
    assert site.hub.clients == 0


def test_login_lets_a_signed_in_user_pass(make_site):
    site = make_site(login=True)
    site.set_up_login()
    client = site.client
    client.get("/test-door")
    assert client.get("/banksim/").status_code == 200
    assert client.get("/api/status").status_code == 200
    assert client.post("/api/control/pause").status_code == 200


def test_login_that_is_not_set_up_refuses_everybody_in_words(make_site):
    site = make_site(login=True)
    for method, address in our_routes(site.app):
        answer = site.client.open(address, method=method)
        assert answer.status_code == 503, address
        assert "SECRET_KEY" in answer.get_json()["error"]
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://localhost:1", "null", "http://localhost.evil"]
)
@pytest.mark.parametrize("action", ["pause", "resume", "stop", "speed", "start", "scenario"])
def test_another_sites_page_cannot_steer(site, action, origin):
    answer = site.client.post(f"/api/control/{action}", headers={"Origin": origin}, json={"multiplier": 5})
    assert answer.status_code == 403
    assert "another site" in answer.get_json()["error"]
    assert site.view.controls == site.view.starts == []


def test_our_own_page_can_steer(site):
    assert site.client.post("/api/control/pause", headers={"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize(
    ("crossing", "code"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200)]
)
def test_a_browser_that_sends_no_origin_says_where_it_comes_from(site, crossing, code):
    answer = site.client.post("/api/control/pause", headers={"Sec-Fetch-Site": crossing})
    assert answer.status_code == code


@pytest.mark.parametrize("address", ["/swarm", "/stop", "/stats/reset"])
def test_locusts_own_posts_are_asked_too(site, address):
    refused = site.client.post(address, headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
    own = site.client.post(address, headers={"Origin": "http://localhost"}, data={})
    assert own.status_code != 403


def test_another_host_name_is_refused_when_only_this_machine_is_served(site, make_site):
    headers = {"Host": "evil.example"}
    assert site.client.get("/api/status", headers=headers).status_code == 403
    assert site.client.get("/api/status", headers={"Host": "localhost:8089"}).status_code == 200
    assert site.client.get("/api/status", headers={"Host": "[::1]:8089"}).status_code == 200


@pytest.mark.parametrize("address", ["/api/status", "/", "/logs", "/stats/requests", "/exceptions", "/tasks"])
@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("rebind.evil.example:8095", 403),
        ("evil.example", 403),
        ("192.168.0.7:8095", 200),
        ("[2001:db8::1]:8095", 200),
        ("simulator:8089", 200),
        ("localhost:8095", 200),
    ],
)
def test_without_a_login_no_stranger_can_point_a_name_here(make_site, address, host, code):
    client = make_site(host="0.0.0.0").client
    assert client.get(address, headers={"Host": host}).status_code == code


def test_with_a_login_any_name_will_do(make_site):
    client = make_site(host="0.0.0.0", login=True).client
    assert client.get("/api/status", headers={"Host": "load.example"}).status_code in (401, 503)


@pytest.mark.parametrize(
    "address",
    ["/", "/logs", "/stats/requests", "/stats/report", "/exceptions", "/tasks", "/stats/failures/csv"],
)
def test_no_other_site_may_read_or_frame_locusts_pages(site, address):
    answer = site.client.get(address, headers={"Origin": "http://evil.example"})
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")]
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert site.client.get(address, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "address", ["/swarm", "/user", "/api/control/start", "/api/control/speed", "/nothing"]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_no_route_takes_a_large_body(site, address, chunked):
    read = [0]

    class Endless(io.RawIOBase):
        def read(self, size=-1):
            read[0] += max(size, 1)
            assert read[0] < 2_000_000, "it reads on"
            return b"x" * max(size, 1)

        def readline(self, size=-1):
            return self.read(size)

    how = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": "300000000"}
    kind = "application/x-www-form-urlencoded" if address in ("/swarm", "/user") else "application/json"
    environ = how | {"wsgi.input": Endless()}
    answer = site.client.post(address, content_type=kind, environ_overrides=environ)
    assert answer.status_code in (400, 404, 405, 413, 500)
    assert read[0] < 600_000


def test_a_proxys_host_can_be_named(make_site, monkeypatch):
    monkeypatch.setenv("BANKSIM_TRUSTED_HOSTS", "load.example, Other.Example")
    client = make_site().client
    assert client.get("/api/status", headers={"Host": "load.example"}).status_code == 200
    through_proxy = {"Host": "127.0.0.1:8089", "Origin": "https://other.example"}
    assert client.post("/api/control/pause", headers=through_proxy).status_code == 200


def test_no_other_site_may_read_our_answers(site):
    headers = {"Origin": "http://evil.example"}
    for address in ("/banksim/", "/api/status", "/banksim/events", "/api/nothing", "/banksim/report/run-1/x"):
        answer = site.client.get(address, headers=headers)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control-")], address


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.evil", False),
    ],
)
def test_loopback_names(host, expected):
    assert is_loopback(host) is expected


def test_trusted_hosts_are_cleaned(monkeypatch):
    monkeypatch.setenv("BANKSIM_TRUSTED_HOSTS", " A.example,, b.example ")
    assert trusted_hosts(["c.example"]) == {"a.example", "b.example", "c.example"}
