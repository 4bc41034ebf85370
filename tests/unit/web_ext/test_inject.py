"""The tab in Locust's own page."""

from __future__ import annotations

from types import SimpleNamespace

from flask import Flask

from web_ext.api import assets
from web_ext.app import add_tab


def test_locusts_page_gets_the_tab_and_one_script(site):
    page = site.client.get("/").text
    assert page.count('id="banksim-inject"') == 1
    assert f'src="/banksim/static/{assets().digest}/inject.js"' in page
    assert '"extended_tabs": [{"key": "banksim", "title": "banksim"}]' in page
    assert page.rstrip().endswith("</html>")


def test_addresses_carry_the_base_path(make_site):
    page = make_site(base="/bank").client.get("/bank/").text
    assert 'src="/bank/banksim/static/' in page
    assert 'data-page="/bank/banksim/"' in page


def test_other_tabs_stay_and_ours_comes_once():
    web_ui = SimpleNamespace(
        template_args={"extended_tabs": [{"title": "Other", "key": "other"}]}, app=Flask("x")
    )
    add_tab(web_ui, "")
    add_tab(web_ui, "")
    assert [tab["key"] for tab in web_ui.template_args["extended_tabs"]] == ["other", "banksim"]
    assert len(web_ui.app.after_request_funcs[None]) == 1


def test_only_locusts_page_is_touched(site):
    for address in ("/stats/requests", "/banksim/", "/worker-count"):
        assert "banksim-inject" not in site.client.get(address).text


def test_a_page_of_another_shape_is_left_alone():
    app = Flask("x")
    add_tab(SimpleNamespace(template_args={}, app=app), "")
    app.add_url_rule("/", "locust.index", lambda: "<body>an error text</body>")
    assert app.test_client().get("/").text == "<body>an error text</body>"


def test_anonymous_sees_no_script_under_login(make_site):
    site = make_site(login=True)
    site.set_up_login()
    assert "banksim-inject" not in site.client.get("/", follow_redirects=True).text
