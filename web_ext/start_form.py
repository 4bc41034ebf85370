"""Locust's start form, checked before Locust acts on it.

Locust takes any value from the form and starts; a wrong scenario or a bank that does not
answer would then fail a run that looks started.  So the post is looked at first, and
refused in Locust's own words-and-shape, which its page shows beside the button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Flask, Response, jsonify, request

from banksim.domain import BanksimError
from web_ext.guard import Guard

#: Locust's route that starts a test.
START_ENDPOINT = "locust.swarm"


def check_starts(app: Flask, guard: Guard, prepare: Callable[[Mapping[str, str]], object]) -> None:
    """Ask ``prepare`` (raises BanksimError) before every start; call after the app's other checks."""

    @app.before_request
    def refuse_what_cannot_start() -> Response | None:
        if request.endpoint != START_ENDPOINT or request.method != "POST":
            return None
        if guard.refusal(wants_page=False) is not None:
            return None  # nobody who may start anything: Locust says so itself
        try:
            prepare(request.form)
        except BanksimError as error:
            return jsonify({"success": False, "message": str(error), "host": request.form.get("host", "")})
        return None
