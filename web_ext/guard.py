"""Who may see and steer a run.

Three checks before every route of ours:

    host     When Locust listens on this machine only, does the browser think it talks to this
             machine?  (A page elsewhere can point its own name at 127.0.0.1.)
    origin   Does a request that changes something come from a page of ours?  Locust answers every
             origin with permissive CORS headers and asks for no token; ours are taken away again,
             and its own posts (start, stop) get the same question.
    login    Under ``--web-login``, is a user signed in?  A login that is switched on and not set up
             (no SECRET_KEY, no user_loader) refuses every request, with the reason.

Programs without a browser (curl, scripts) send no Origin and pass the second question.
Behind a proxy that changes the Host header, name the public host in BANKSIM_TRUSTED_HOSTS.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Flask, jsonify, redirect, request, session, url_for
from flask import Response as FlaskResponse
from flask_cors.core import FLASK_CORS_EVALUATED
from flask_login import UserMixin, current_user, login_user, logout_user
from werkzeug.wrappers import Response

from banksim.model import BanksimError, UsageError
from web_ext.messages import problem

logger = logging.getLogger(__name__)


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Where the session keeps the page that was asked for before signing in.
NEXT_PAGE = "banksim_next"

TRUSTED_HOSTS_VARIABLE = "BANKSIM_TRUSTED_HOSTS"

_OTHER_ORIGIN = (
    "Refused: this request comes from a page of another site. Behind a proxy, name its public host in "
    f"{TRUSTED_HOSTS_VARIABLE}."
)
_OTHER_HOST = (
    "Refused: Locust listens on this machine only, and the request names another host. Open it as "
    f"localhost, or name the host in {TRUSTED_HOSTS_VARIABLE}."
)
_UNKNOWN_HOST = (
    "Refused: the request names a host that this machine does not know as its own. Open the page by its "
    f"address, name the host in {TRUSTED_HOSTS_VARIABLE}, or have people sign in (--web-login)."
)
_NOT_SIGNED_IN = "Sign in first: Locust runs with --web-login."
_LOGIN_NOT_SET_UP = (
    "Nobody can sign in: --web-login is on, but there is no SECRET_KEY or no user_loader. banksim's own "
    "locustfile sets both; another one must, in an init listener, or leave --web-login out."
)

#: Sent with every answer of ours.  Plotly writes style elements, hence 'unsafe-inline' for styles alone.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


AnyResponse = TypeVar("AnyResponse", bound=Response)


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one web UI.  ``loopback_only``: it listens on this machine alone.

    Where it listens to others too and nobody signs in, the name in a request must be one that no stranger can
    point here: an address, a name without a dot, this machine's own, or a trusted one.
    """

    login: bool = False
    loopback_only: bool = False
    trusted_hosts: frozenset[str] = frozenset()

    def refusal(self, *, wants_page: bool) -> Response | None:
        """The answer to a request that may not pass; None for one that may.  Needs a Flask request."""
        return self.refuse_host() or self.refuse_origin() or self._refuse_anonymous(wants_page)

    def refuse_host(self) -> Response | None:
        """403 for a host name that is not this machine's, unless somebody has to sign in anyway."""
        name = _host_name(request.host)
        if is_loopback(name) or name in self.trusted_hosts:
            return None
        if self.loopback_only:
            return problem(_OTHER_HOST, 403)
        if self.login or is_address(name) or "." not in name or name in _own_names():
            return None
        return problem(_UNKNOWN_HOST, 403)

    def refuse_origin(self) -> Response | None:
        """403 for a state-changing request that a browser sent on behalf of another site."""
        return None if request.method in SAFE_METHODS else self.refuse_other_site()

    def refuse_other_site(self) -> Response | None:
        """403 for a request of whatever method that a browser sent on behalf of another site."""
        origin = request.headers.get("Origin")
        if origin is None:
            crossing = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
            return problem(_OTHER_ORIGIN, 403) if crossing else None
        parts = urlsplit(origin)
        if parts.netloc and parts.netloc.lower() == request.host.lower():
            return None
        if parts.hostname and parts.hostname in self.trusted_hosts:
            return None
        return problem(_OTHER_ORIGIN, 403)

    def _refuse_anonymous(self, wants_page: bool) -> Response | None:
        if not self.login:
            return None
        try:
            if current_user.is_authenticated:
                return None
            if wants_page:
                session[NEXT_PAGE] = request.path
                return redirect(url_for("locust.login"))
        except Exception:
            logger.exception("The web login is not set up")
            return problem(_LOGIN_NOT_SET_UP, 503)
        return problem(_NOT_SIGNED_IN, 401)


def is_loopback(host: str) -> bool:
    """True for localhost and 127.0.0.0/8 and ::1."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """True for an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def trusted_hosts(more: Iterable[str] = ()) -> frozenset[str]:
    """Host names from BANKSIM_TRUSTED_HOSTS (commas between) and ``more``, in lower case."""
    return frozenset(name.strip().lower() for name in _names(more) if name.strip())


def _names(more: Iterable[str]) -> Iterator[str]:
    yield from os.environ.get(TRUSTED_HOSTS_VARIABLE, "").split(",")
    yield from more


def _host_name(netloc: str) -> str:
    return (urlsplit(f"//{netloc}").hostname or "").lower()


def harden(response: AnyResponse, policy: str = PAGE_POLICY) -> AnyResponse:
    """Take Locust's open CORS headers off an answer and put the strict ones on."""
    for name in [name for name in response.headers.keys() if name.startswith("Access-Control-")]:  # noqa: SIM118
        del response.headers[name]
    # flask-cors leaves an answer alone that carries this mark.
    setattr(response, FLASK_CORS_EVALUATED, True)
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response


# -- Locust's start form, checked before Locust acts on it ------------------------------------------
#
# Locust takes any value from the form and starts; a wrong scenario or a bank that does not
# answer would then fail a run that looks started.  So the post is looked at first, and
# refused in Locust's own words-and-shape, which its page shows next to the button.


#: Locust's route that starts a test.
START_ENDPOINT = "locust.swarm"


def check_starts(app: Flask, guard: Guard, prepare: Callable[[Mapping[str, str]], object]) -> None:
    """Ask ``prepare`` (raises BanksimError) before every start; call after the app's other checks."""

    @app.before_request
    def refuse_what_cannot_start() -> FlaskResponse | None:
        if request.endpoint != START_ENDPOINT or request.method != "POST":
            return None
        if guard.refusal(wants_page=False) is not None:
            return None  # not signed in: Locust refuses the start itself
        try:
            prepare(request.form)
        except BanksimError as error:
            return jsonify({"success": False, "message": str(error), "host": request.form.get("host", "")})
        return None


# -- ``--web-login`` with one user name and password from the environment ---------------------------
#
# Locust brings the login page and leaves the rest to the locustfile; this is the rest.
#
#     BANKSIM_WEB_USER, BANKSIM_WEB_PASSWORD   who may sign in; both are needed
#     BANKSIM_WEB_SECRET                       signs the session cookie; drawn at each start if absent,
#                                              so that all users sign in again then
#
# Name and password are compared in constant time, both always, and a wrong one costs
# FAILURE_DELAY_S; at most MAX_WAITING_FAILURES are looked at at a time, the others are refused unseen.
# Who signs out ends the session: its cookie opens nothing any more.


USER_VARIABLE: Final = "BANKSIM_WEB_USER"
PASSWORD_VARIABLE: Final = "BANKSIM_WEB_PASSWORD"
SECRET_VARIABLE: Final = "BANKSIM_WEB_SECRET"

FAILURE_DELAY_S: Final = 0.5
MAX_WAITING_FAILURES: Final = 5
#: Where a session keeps its own name, and how many that have ended are remembered.
SESSION_ID: Final = "banksim_session"
MOST_ENDED: Final = 10_000


class _User(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


def set_up_login(web_ui: Any, environ: Mapping[str, str], base_path: str, guard: Guard) -> None:
    """Let the user of the environment sign in.  Raises UsageError when name or password is missing."""
    name, password = environ.get(USER_VARIABLE, ""), environ.get(PASSWORD_VARIABLE, "")
    missing = [
        variable for variable, value in ((USER_VARIABLE, name), (PASSWORD_VARIABLE, password)) if not value
    ]
    if missing:
        raise UsageError(
            f"--web-login: {' and '.join(missing)} must be set in the environment; whoever signs in on the "
            "web page gives these. Leave --web-login out to go without."
        )
    app = web_ui.app
    app.secret_key = environ.get(SECRET_VARIABLE) or secrets.token_hex(32)
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = bool(web_ui.tls_cert)
    ended: dict[str, None] = {}

    def load(asked: str) -> _User | None:
        number = session.get(SESSION_ID)
        return _User(name) if asked == name and number and number not in ended else None

    web_ui.login_manager.user_loader(load)
    web_ui.auth_args = {"username_password_callback": f"{base_path}/banksim-login"}
    app.register_blueprint(_login_blueprint(name, password, base_path, guard, ended))


def _login_blueprint(
    name: str, password: str, base_path: str, guard: Guard, ended: dict[str, None]
) -> Blueprint:
    blueprint = Blueprint("banksim_login", __name__, url_prefix=base_path or None)
    places = threading.BoundedSemaphore(MAX_WAITING_FAILURES)

    @blueprint.before_request
    def refuse() -> Response | None:
        return guard.refuse_host() or guard.refuse_origin()

    blueprint.after_request(harden)

    @blueprint.post("/banksim-login")
    def sign_in() -> Response:
        if not places.acquire(blocking=False):
            return problem("Too many wrong passwords at once. Try again in a moment.", 429)
        try:
            given_name, given_password = request.form.get("username", ""), request.form.get("password", "")
            # Both are always compared: the answer takes no longer for a right name.
            if _same(given_name, name) & _same(given_password, password):
                wanted = session.get(NEXT_PAGE)
                session.clear()
                session[SESSION_ID] = secrets.token_hex(16)
                login_user(_User(name))
                return redirect(wanted if isinstance(wanted, str) else url_for("locust.index"))
            time.sleep(FAILURE_DELAY_S)
        finally:
            places.release()
        session["auth_error"] = "User name or password is wrong."
        return redirect(url_for("locust.login"))

    @blueprint.post("/banksim-logout")
    def sign_out() -> Response:
        ended[session.get(SESSION_ID, "")] = None
        if len(ended) > MOST_ENDED:
            del ended[next(iter(ended))]
        logout_user()
        session.clear()
        return redirect(url_for("locust.login"))

    return blueprint


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
