"""--web-login with a name and a password from the environment."""

from __future__ import annotations

import pytest

from banksim.model import UsageError
from web_ext import guard as login
from web_ext.guard import Guard, set_up_login

ENVIRON = {"BANKSIM_WEB_USER": "ana", "BANKSIM_WEB_PASSWORD": "böse Wölfe"}
RIGHT = {"username": "ana", "password": "böse Wölfe"}


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(login, "FAILURE_DELAY_S", 0.0)


@pytest.fixture
def locked(make_site):
    def make(base="", environ=ENVIRON):
        site = make_site(login=True, base=base)
        set_up_login(site.web_ui, environ, base, Guard(login=True, loopback_only=True))
        return site

    return make


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "BANKSIM_WEB_USER and BANKSIM_WEB_PASSWORD"),
        ({"BANKSIM_WEB_USER": "ana"}, "--web-login: BANKSIM_WEB_PASSWORD must"),
        ({"BANKSIM_WEB_USER": "ana", "BANKSIM_WEB_PASSWORD": ""}, "BANKSIM_WEB_PASSWORD"),
        ({"BANKSIM_WEB_PASSWORD": "x"}, "--web-login: BANKSIM_WEB_USER must"),
    ],
)
def test_what_is_missing_is_named(locked, environ, named):
    with pytest.raises(UsageError, match=named):
        locked(environ=environ)


def test_the_right_password_opens_every_door(locked):
    site = locked()
    client = site.client
    assert client.get("/api/status").status_code == 401
    assert client.post("/banksim-login", data=RIGHT).status_code == 302
    assert client.get("/api/status").status_code == 200
    assert client.get("/banksim/").status_code == 200
    assert client.post("/banksim-logout").status_code == 302
    assert client.get("/api/status").status_code == 401


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"username": "ana"},
        {"username": "ana", "password": ""},
        {"username": "ana", "password": "wrong"},
        {"username": "bob", "password": "böse Wölfe"},
        {"username": "", "password": "böse Wölfe"},
    ],
)
def test_anything_else_leads_back_with_words(locked, given):
    client = locked().client
    answer = client.post("/banksim-login", data=given)
    assert answer.headers["Location"].endswith("/login")
    assert "User name or password is wrong." in client.get("/login").text
    assert client.get("/api/status").status_code == 401


def test_signing_in_leads_to_the_page_that_was_wanted(locked):
    client = locked(base="/bank").client
    assert client.get("/bank/banksim/metrics").headers["Location"] == "/bank/login"
    assert client.post("/bank/banksim-login", data=RIGHT).headers["Location"] == "/bank/banksim/metrics"


def test_locusts_page_posts_where_we_listen(locked):
    assert (
        '"username_password_callback": "/bank/banksim-login"'
        in locked(base="/bank").client.get("/bank/login").text
    )


def test_another_sites_page_cannot_sign_anybody_in(locked):
    client = locked().client
    headers = {"Origin": "http://evil.example"}
    assert client.post("/banksim-login", data=RIGHT, headers=headers).status_code == 403
    assert client.post("/banksim-login", data=RIGHT, headers={"Host": "evil.example"}).status_code == 403


def test_a_cookie_of_another_secret_or_user_opens_nothing(locked):
    client = locked().client
    client.post("/banksim-login", data=RIGHT)
    cookie = client.get_cookie("session")
    other = locked().client
    other.set_cookie("session", cookie.value)
    assert other.get("/api/status").status_code == 401
    same_secret = ENVIRON | {"BANKSIM_WEB_SECRET": "s"}
    first = locked(environ=same_secret).client
    first.post("/banksim-login", data=RIGHT)
    renamed = locked(environ=same_secret | {"BANKSIM_WEB_USER": "eve"}).client
    renamed.set_cookie("session", first.get_cookie("session").value)
    assert renamed.get("/api/status").status_code == 401


def test_a_session_that_was_signed_out_opens_nothing_any_more(locked):
    site = locked()
    site.client.post("/banksim-login", data=RIGHT)
    client, thief, other = site.client, site.client, site.client
    for one in (client, other):
        one.post("/banksim-login", data=RIGHT)
    thief.set_cookie("session", client.get_cookie("session").value)
    assert thief.get("/api/status").status_code == 200
    client.post("/banksim-logout")
    assert thief.get("/api/status").status_code == 401
    assert other.get("/api/status").status_code == 200, "other sessions go on"


def test_a_refused_attempt_is_not_judged(locked, monkeypatch):
    monkeypatch.setattr(login, "MAX_WAITING_FAILURES", 0)
    client = locked().client
    assert client.post("/banksim-login", data=RIGHT).status_code == 429
    assert client.get("/api/status").status_code == 401


def test_many_wrong_passwords_at_once_are_turned_away(locked, monkeypatch):
    monkeypatch.setattr(login, "MAX_WAITING_FAILURES", 0)
    answer = locked().client.post("/banksim-login", data={"username": "ana", "password": "x"})
    assert answer.status_code == 429
