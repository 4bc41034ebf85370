"""Who may see and steer a run.

Three questions, asked before every route of ours:

    host     When Locust listens on this machine only, does the browser think it talks to this
             machine?  (A page elsewhere can point its own name at 127.0.0.1.)
    origin   Does a request that changes something come from a page of ours?  Locust answers every
             origin with permissive CORS headers and asks for no token; ours are taken away again,
             and its own posts (start, stop) get the same question.
    login    Under ``--web-login``, is somebody signed in?  A login that is switched on and not set up
             (no SECRET_KEY, no user_loader) refuses everybody, in words.

Programs without a browser (curl, scripts) send no Origin and pass the second question.
Behind a proxy that changes the Host header, name the public host in BANKSIM_TRUSTED_HOSTS.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import redirect, request, session, url_for
from flask_cors.core import FLASK_CORS_EVALUATED
from flask_login import current_user
from werkzeug.wrappers import Response

from web_ext.wire import problem

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Where the session keeps the page that somebody wanted before signing in.
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


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules of one web UI.  ``loopback_only``: it listens on this machine alone."""

    login: bool = False
    loopback_only: bool = False
    trusted_hosts: frozenset[str] = frozenset()

    def refusal(self, *, wants_page: bool) -> Response | None:
        """The answer to a request that may not pass; None for one that may.  Needs a Flask request."""
        return self.refuse_host() or self.refuse_origin() or self._refuse_anonymous(wants_page)

    def refuse_host(self) -> Response | None:
        """403 for a host name that is not this machine's, when only this machine is served."""
        if not self.loopback_only:
            return None
        name = _host_name(request.host)
        if is_loopback(name) or name in self.trusted_hosts:
            return None
        return problem(_OTHER_HOST, 403)

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


def trusted_hosts(more: Iterable[str] = ()) -> frozenset[str]:
    """Host names from BANKSIM_TRUSTED_HOSTS (commas between) and ``more``, in lower case."""
    return frozenset(name.strip().lower() for name in _names(more) if name.strip())


def _names(more: Iterable[str]) -> Iterator[str]:
    yield from os.environ.get(TRUSTED_HOSTS_VARIABLE, "").split(",")
    yield from more


def _host_name(netloc: str) -> str:
    return (urlsplit(f"//{netloc}").hostname or "").lower()


def harden(response: Response) -> Response:
    """Take Locust's open CORS headers off an answer of ours and put the strict ones on."""
    for name in [name for name in response.headers.keys() if name.startswith("Access-Control-")]:  # noqa: SIM118
        del response.headers[name]
    # flask-cors leaves an answer alone that carries this mark.
    setattr(response, FLASK_CORS_EVALUATED, True)
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response
