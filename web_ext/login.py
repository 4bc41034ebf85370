"""``--web-login`` with one user name and password from the environment.

Locust brings the login page and leaves the rest to the locustfile; this is the rest.

    BANKSIM_WEB_USER, BANKSIM_WEB_PASSWORD   who may sign in; both are needed
    BANKSIM_WEB_SECRET                       signs the session cookie; made anew at each start if absent,
                                             so that everybody signs in again then

Name and password are compared in constant time, both always, and a wrong one costs
FAILURE_DELAY_S; at most MAX_WAITING_FAILURES are served at a time, the others are refused.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint, redirect, request, session, url_for
from flask_login import UserMixin, login_user, logout_user
from werkzeug.wrappers import Response

from banksim.domain import UsageError
from web_ext.guard import NEXT_PAGE, Guard, harden
from web_ext.wire import problem

USER_VARIABLE: Final = "BANKSIM_WEB_USER"
PASSWORD_VARIABLE: Final = "BANKSIM_WEB_PASSWORD"
SECRET_VARIABLE: Final = "BANKSIM_WEB_SECRET"

FAILURE_DELAY_S: Final = 0.5
MAX_WAITING_FAILURES: Final = 5


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
    web_ui.login_manager.user_loader(lambda asked: _User(name) if asked == name else None)
    web_ui.auth_args = {"username_password_callback": f"{base_path}/banksim-login"}
    app.register_blueprint(_login_blueprint(name, password, base_path, guard))


def _login_blueprint(name: str, password: str, base_path: str, guard: Guard) -> Blueprint:
    blueprint = Blueprint("banksim_login", __name__, url_prefix=base_path or None)
    places = threading.BoundedSemaphore(MAX_WAITING_FAILURES)

    @blueprint.before_request
    def refuse() -> Response | None:
        return guard.refuse_host() or guard.refuse_origin()

    blueprint.after_request(harden)

    @blueprint.post("/banksim-login")
    def sign_in() -> Response:
        given_name, given_password = request.form.get("username", ""), request.form.get("password", "")
        # Both are always compared: the answer takes no longer for a right name.
        if _same(given_name, name) & _same(given_password, password):
            wanted = session.get(NEXT_PAGE)
            session.clear()
            login_user(_User(name))
            return redirect(wanted if isinstance(wanted, str) else url_for("locust.index"))
        if not places.acquire(blocking=False):
            return problem("Too many wrong passwords at once. Try again in a moment.", 429)
        try:
            time.sleep(FAILURE_DELAY_S)
        finally:
            places.release()
        session["auth_error"] = "User name or password is wrong."
        return redirect(url_for("locust.login"))

    @blueprint.post("/banksim-logout")
    def sign_out() -> Response:
        logout_user()
        session.clear()
        return redirect(url_for("locust.login"))

    return blueprint


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
