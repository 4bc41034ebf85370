"""banksim's pages and API on Locust's own web port.

    <base>/banksim/                      the pages, see api.py (``?embed=1``: inside a tab of Locust's page)
    <base>/banksim/events                the pages' live stream (see stream.py)
    <base>/banksim/static/…              scripts, styles, chart library (see api.py)
    <base>/banksim/report/<run>/<file>   what finished runs left
    <base>/api/…                         the same figures and controls for scripts (see api.py)
    <base>/ws                            WebSocket (see websocket.py)

Every route asks the guard first; every error is a sentence in JSON, also for a
browser, and none carries a traceback.  Locust's debug mode would print one.
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from html import escape
from typing import Any
from urllib.parse import urlencode

import gevent
from flask import Blueprint, Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from banksim.load import Session
from banksim.load.install import pages_wanted
from banksim.model import BanksimError, UsageError
from banksim.report.charts_frame import PLOTLY, chart_layout
from web_ext.api import NAME, NOT_FOUND, PAGES, PLAIN_NAME, Page, Site, add_api, add_files, assets
from web_ext.guard import Guard, check_starts, harden, is_loopback, set_up_login, trusted_hosts
from web_ext.messages import problem
from web_ext.recorder import Recorder
from web_ext.run_view import MAX_SPEED, MIN_SPEED, RunView
from web_ext.stream import Hub
from web_ext.websocket import add_websocket

logger = logging.getLogger(__name__)


#: The largest body of a request, in bytes; Locust's start form has some hundred.
MAX_BODY_BYTES = 262_144
#: Locust's page runs scripts of its own; another site may not put it into a frame.
LOCUSTS_POLICY = "frame-ancestors 'self'"

_ERROR_HINTS = {404: NOT_FOUND, 405: "This address does not take that method."}


def register(environment: Any, view: RunView, *, hub: Hub | None = None) -> Blueprint:
    """Put banksim's pages into a Locust environment's web UI; call it from an ``init`` listener.

    Follows --web-base-path, --web-login and --web-host, adds the tab to Locust's page, and asks
    Locust's own posts where they come from.  Raises ValueError without a web UI.
    """
    web_ui = environment.web_ui
    if web_ui is None:
        raise ValueError("this environment has no web UI: register the pages only when it has one")
    options = environment.parsed_options
    guard = Guard(
        login=bool(web_ui.web_login),
        loopback_only=is_loopback(web_ui.host or ""),
        trusted_hosts=trusted_hosts(),
    )
    base_path = (getattr(options, "web_base_path", None) or "").rstrip("/")
    blueprint = create_blueprint(view, base_path, guard, hub=hub)
    app = web_ui.app
    app.register_blueprint(blueprint)
    protect_locust(app, guard)
    add_tab(web_ui, base_path)
    return blueprint


def create_blueprint(
    view: RunView, base_path: str = "", guard: Guard | None = None, *, hub: Hub | None = None
) -> Blueprint:
    """All routes under ``base_path`` ("" or "/bank").  Without a guard no login is needed."""
    guard = guard or Guard()
    site = Site(view, hub or Hub(view), guard, base_path)
    assets()
    blueprint = Blueprint(NAME, __name__, url_prefix=base_path or None, template_folder="templates")
    _ask_the_guard(blueprint, site)
    _answer_errors(blueprint, site)
    for page in PAGES:
        _add_page(blueprint, site, page)
    _add_stream(blueprint, site)
    add_files(blueprint, site)
    add_api(blueprint, site)
    add_websocket(blueprint, site.hub, guard)
    return blueprint


def protect_locust(app: Flask, guard: Guard) -> None:
    """Locust's own routes answer this site alone too, and no route takes a large body.

    Its logs hold what a run knows of the truth, and its other pages addresses and errors.
    """
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES  # chunked bodies are counted as they arrive

    @app.before_request
    def refuse_other_sites() -> AnyResponse | None:
        if not _is_locusts():
            return None
        return guard.refuse_host() or guard.refuse_origin()

    @app.after_request
    def close_to_other_sites(response: Response) -> Response:
        return harden(response, LOCUSTS_POLICY) if _is_locusts() else response


def _is_locusts() -> bool:
    return (request.endpoint or "static").startswith(("locust.", "static"))


def _ask_the_guard(blueprint: Blueprint, site: Site) -> None:
    @blueprint.before_request
    def refuse() -> AnyResponse | None:
        wants_page = request.endpoint in PAGE_ENDPOINTS
        return site.guard.refusal(wants_page=wants_page)

    blueprint.after_request(harden)


def _answer_errors(blueprint: Blueprint, site: Site) -> None:
    @blueprint.errorhandler(Exception)
    def explain(error: Exception) -> AnyResponse:
        if isinstance(error, HTTPException):
            code = error.code or 500
            if code < 400:
                return error.get_response()
            return problem(_ERROR_HINTS.get(code, error.description or error.name), code)
        if isinstance(error, BanksimError):
            return problem(str(error), 400 if isinstance(error, UsageError) else 409)
        logger.exception("%s %s failed", request.method, request.path)
        return problem("Something went wrong here; Locust's log says what.", 500)

    ours = tuple(f"{site.base_path}/{folder}/" for folder in ("api", NAME))

    def explain_unrouted(error: HTTPException) -> AnyResponse | HTTPException:
        # No route matched, so no blueprint is asked: Flask looks only at the app's own handlers.
        if not request.path.startswith(ours):
            return error
        response = problem(_ERROR_HINTS[error.code or 404], error.code or 404)
        for name, value in error.get_headers():
            if name.lower() == "allow":
                response.headers[name] = value
        return harden(response)

    blueprint.app_errorhandler(404)(explain_unrouted)
    blueprint.app_errorhandler(405)(explain_unrouted)


def _page_endpoint(page: Page) -> str:
    return f"page_{page.slug or 'control'}"


#: These redirect to the login without a signed-in user; all other addresses answer with 401 in JSON.
PAGE_ENDPOINTS = frozenset(f"{NAME}.{_page_endpoint(page)}" for page in PAGES)


def _add_page(blueprint: Blueprint, site: Site, page: Page) -> None:
    def show() -> Response:
        static = f"{site.base_path}/{NAME}/static"
        asked = request.args.get("replay")
        embedded = request.args.get("embed") == "1"
        kept = {"embed": "1"} if embedded else {}
        html = render_template(
            page.template,
            page=page,
            pages=PAGES,
            base=site.base_path,
            static=f"{static}/{assets().digest}",
            plotly=PLOTLY,
            embedded=embedded,
            query=f"?{urlencode(kept | {'replay': asked} if asked else kept)}" if kept or asked else "",
            settings={
                "base": site.base_path,
                "chartLayout": {"light": chart_layout("light"), "dark": chart_layout("dark")},
                "minSpeed": MIN_SPEED,
                "maxSpeed": MAX_SPEED,
                "replay": None if asked is None else {"run": asked if PLAIN_NAME.fullmatch(asked) else None},
                "dashboard": asdict(site.view.status().dashboard),
            },
        )
        response = Response(html, mimetype="text/html")
        response.headers["Cache-Control"] = "no-cache"
        return response

    blueprint.add_url_rule(f"/{NAME}/{page.slug}", _page_endpoint(page), show)
    if not page.slug:
        blueprint.add_url_rule(f"/{NAME}/{page.title.lower()}", _page_endpoint(page), show)


def _add_stream(blueprint: Blueprint, site: Site) -> None:
    @blueprint.get(f"/{NAME}/events")
    def events() -> Response:
        client = site.hub.join(evict=_ending_this_greenlet())
        if client is None:
            response = problem(
                f"{site.hub.max_clients} pages are watching already, which is the most served at once. "
                "Close one, or try again in a moment.",
                503,
            )
            response.headers["Retry-After"] = "10"
            return response
        response = Response(site.hub.stream(client), mimetype="text/event-stream")
        # A request that ends before its first byte never runs the generator's own clean-up.
        response.call_on_close(lambda: site.hub.leave(client))
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"
        return response


def _ending_this_greenlet() -> Any:
    """Under gevent each connection is a greenlet; ending it is the only way out of a blocked send."""
    kill = getattr(gevent.getcurrent(), "kill", None)
    return (lambda: kill(block=False)) if kill else (lambda: None)


# -- A banksim tab in Locust's own page -------------------------------------------------------------
#
# Locust's page lets an extension name a tab but fill it only with tables; a tab without a table
# shows nothing.  One small script (static/inject.js), added to the page's HTML, puts a frame with the
# live page into that empty tab.  The script touches nothing until it has found what it knows; should
# a later Locust look different, the tab stays empty and a plain link remains.


TAB_KEY = "banksim"
TAB_TITLE = "banksim"


def add_tab(web_ui: Any, base_path: str) -> None:
    """Name the tab and add the script to Locust's page, once per web UI."""
    tabs = web_ui.template_args.setdefault("extended_tabs", [])
    if any(tab.get("key") == TAB_KEY for tab in tabs):
        return
    tabs.append({"title": TAB_TITLE, "key": TAB_KEY})

    app: Flask = web_ui.app

    @app.after_request
    def add_script(response: Response) -> Response:
        if request.endpoint != "locust.index" or response.status_code != 200 or response.is_streamed:
            return response
        html = response.get_data(as_text=True)
        head, found, tail = html.rpartition("</body>")
        # Without #root this is not the page (an error text, say), and it is left alone.
        if found and 'id="root"' in head:
            response.set_data(head + script_tag(base_path) + found + tail)
        return response


def script_tag(base_path: str) -> str:
    """The one element added to Locust's page."""
    source = f"{base_path}/banksim/static/{assets().digest}/inject.js"
    return (
        f'<script type="module" src="{escape(source)}" data-page="{escape(base_path)}/banksim/" '
        f'data-tab="{TAB_KEY}" id="banksim-inject"></script>'
    )


# -- banksim's pages for a session: what the locustfile hands to `banksim.load.install` -------


def attach(session: Session) -> None:
    """Record every run; put the pages, the API and the check of the start form into the web UI, if any.

    Raises UsageError when --web-login is on and no login is possible.
    """
    environment = session.environment
    base_path = (environment.parsed_options.web_base_path or "").rstrip("/")
    view = RunView(session, base_path)
    record_runs(session, view)
    web_ui = environment.web_ui
    if web_ui is None:
        return
    guard = Guard(
        login=bool(web_ui.web_login),
        loopback_only=is_loopback(web_ui.host or ""),
        trusted_hosts=trusted_hosts(),
    )
    if web_ui.web_login:
        set_up_login(web_ui, os.environ, base_path, guard)
    if pages_wanted(vars(environment.parsed_options), os.environ):
        register(environment, view)
    else:
        logger.info("The scenario says dashboard.enabled: false, so only Locust's own pages are served")
        protect_locust(web_ui.app, guard)
    check_starts(web_ui.app, guard, session.prepare_form)


def record_runs(session: Session, view: RunView) -> None:
    """Let every run leave its record, also without a web UI."""
    recorder = Recorder(view, session.report_dir)
    events = session.environment.events
    events.test_stop.add_listener(lambda **_: recorder.look())
    events.quitting.add_listener(lambda **_: recorder.close())
    recorder.start()
