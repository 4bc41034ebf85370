"""banksim's pages and API on Locust's own web port.

    <base>/banksim/                      the live page (``?embed=1``: inside a tab of Locust's page)
    <base>/banksim/events                the live stream (see hub.py)
    <base>/banksim/static/<digest>/<f>   scripts and styles; <base>/banksim/static/plotly-<v>.min.js
    <base>/banksim/report/<run>/<file>   what finished runs left
    <base>/api/status, /api/metrics      the same figures for scripts
    POST <base>/api/control/<action>     pause, resume, stop; speed with {"multiplier": 200}

Every route asks the guard first; every error is a sentence (JSON for scripts, a page for people
would be overkill here) and none carries a traceback.  Locust's debug mode would print one.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import orjson
from flask import Blueprint, Flask, Response, render_template, request
from flask import send_file as flask_send_file
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from banksim.domain import BanksimError, UsageError
from banksim.report.theme import chart_layout
from web_ext.assets import assets, plotly_name, plotly_response
from web_ext.cockpit import ACTIONS, MAX_SPEED, MIN_SPEED, Cockpit
from web_ext.guard import SAFE_METHODS, Guard, harden, is_loopback, trusted_hosts
from web_ext.hub import Hub
from web_ext.inject import add_tab
from web_ext.pages import PAGES, Page
from web_ext.wire import json_response, problem, to_json

logger = logging.getLogger(__name__)

NAME = "banksim"

MAX_BODY_BYTES = 4096

#: A run id or a report's file name: no separator, no leading dot.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")

#: A report is one self-contained file with its scripts inside; it may not fetch anything.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

_ERROR_HINTS = {404: "There is nothing at this address.", 405: "This address does not take that method."}


@dataclass(frozen=True, slots=True)
class _Site:
    """What the routes share."""

    cockpit: Cockpit
    hub: Hub
    guard: Guard
    base_path: str


def register(environment: Any, cockpit: Cockpit, *, hub: Hub | None = None) -> Blueprint:
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
    blueprint = create_blueprint(cockpit, base_path, guard, hub=hub)
    app = web_ui.app
    app.register_blueprint(blueprint)
    protect_locust(app, guard)
    add_tab(web_ui, base_path)
    return blueprint


def create_blueprint(
    cockpit: Cockpit, base_path: str = "", guard: Guard | None = None, *, hub: Hub | None = None
) -> Blueprint:
    """All routes under ``base_path`` ("" or "/bank").  Without a guard nobody needs to sign in."""
    site = _Site(cockpit, hub or Hub(cockpit), guard or Guard(), base_path)
    blueprint = Blueprint(NAME, __name__, url_prefix=base_path or None, template_folder="templates")
    _ask_the_guard(blueprint, site)
    _answer_errors(blueprint, site)
    for page in PAGES:
        _add_page(blueprint, site, page)
    _add_stream(blueprint, site)
    _add_files(blueprint, site)
    _add_api(blueprint, site)
    return blueprint


def protect_locust(app: Flask, guard: Guard) -> None:
    """Ask the host and origin questions of Locust's own state-changing routes (start, stop, reset)."""

    @app.before_request
    def refuse_other_sites() -> AnyResponse | None:
        ours_to_ask = (request.endpoint or "").startswith("locust.") and request.method not in SAFE_METHODS
        return (guard.refuse_host() or guard.refuse_origin()) if ours_to_ask else None


def _ask_the_guard(blueprint: Blueprint, site: _Site) -> None:
    @blueprint.before_request
    def refuse() -> AnyResponse | None:
        wants_page = request.endpoint in {f"{NAME}.{_page_endpoint(page)}" for page in PAGES}
        return site.guard.refusal(wants_page=wants_page)

    blueprint.after_request(harden)


def _answer_errors(blueprint: Blueprint, site: _Site) -> None:
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
    return f"page_{page.slug or 'live'}"


def _add_page(blueprint: Blueprint, site: _Site, page: Page) -> None:
    def show() -> Response:
        static = f"{site.base_path}/{NAME}/static"
        html = render_template(
            page.template,
            page=page,
            pages=PAGES,
            base=site.base_path,
            static=f"{static}/{assets().digest}",
            plotly=f"{static}/{plotly_name()}",
            embedded=request.args.get("embed") == "1",
            settings={
                "base": site.base_path,
                "chartLayout": {"light": chart_layout("light"), "dark": chart_layout("dark")},
                "minSpeed": MIN_SPEED,
                "maxSpeed": MAX_SPEED,
                "intervalMs": site.hub.interval_s * 1000,
            },
        )
        response = Response(html, mimetype="text/html")
        response.headers["Cache-Control"] = "no-cache"
        return response

    blueprint.add_url_rule(f"/{NAME}/{page.slug}", _page_endpoint(page), show)


def _add_stream(blueprint: Blueprint, site: _Site) -> None:
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


def _add_files(blueprint: Blueprint, site: _Site) -> None:
    @blueprint.get(f"/{NAME}/static/<digest>/<name>")
    def static_file(digest: str, name: str) -> Response:
        found = assets().response(name)
        if found is None:
            return problem(_ERROR_HINTS[404], 404)
        if digest != assets().digest:
            found.headers["Cache-Control"] = "no-cache"
        return found

    @blueprint.get(f"/{NAME}/static/{plotly_name()}")
    def plotly_file() -> Response:
        return plotly_response()

    @blueprint.get(f"/{NAME}/report/<run_id>/<name>")
    def report_file(run_id: str, name: str) -> Response:
        path = _report_path(site.cockpit, run_id, name)
        if path is None:
            return problem("No finished run of this name left such a file.", 404)
        response = flask_send_file(path, conditional=True, max_age=0)
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        return response


def _report_path(cockpit: Cockpit, run_id: str, name: str) -> Path | None:
    """The file, if both names are plain and it really lies in that run's folder."""
    if not (_PLAIN_NAME.fullmatch(run_id) and _PLAIN_NAME.fullmatch(name)):
        return None
    path = cockpit.report_file(run_id, name)
    if path is None:
        return None
    path = path.resolve()
    inside = path.name == name and path.parent.name == run_id
    return path if inside and path.is_file() else None


def _add_api(blueprint: Blueprint, site: _Site) -> None:
    @blueprint.get("/api/status")
    def status() -> Response:
        return json_response(site.cockpit.status())

    @blueprint.get("/api/metrics")
    def metrics() -> Response:
        return json_response(site.cockpit.snapshot())

    def steer(action: str) -> Response:
        value = _speed_asked() if action == "speed" else None
        try:
            return json_response(site.cockpit.control(action, value))
        except BanksimError as error:
            return problem(str(error), 409)

    for action in ACTIONS:
        rule = f"/api/control/{action}"
        blueprint.add_url_rule(
            rule, f"control_{action}", steer, methods=["POST"], defaults={"action": action}
        )


def _speed_asked() -> float:
    """The multiplier in the request's JSON body.  Raises UsageError with what was expected."""
    expected = f'expected {{"multiplier": a number from {MIN_SPEED:g} to {MAX_SPEED:g}}}'
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise UsageError(f"speed: {expected}, got a body of {request.content_length} bytes")
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"speed: {expected}, got no valid JSON") from error
    value = body.get("multiplier") if isinstance(body, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"speed: {expected}, got {_shown(value)}")
    if not MIN_SPEED <= value <= MAX_SPEED:
        raise UsageError(f"speed: {expected}, got {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
    return to_json(value).decode()[:80]
