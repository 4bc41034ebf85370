"""banksim's pages for a session: what the locustfile hands to `banksim.load.hooks.install`."""

from __future__ import annotations

import os

from banksim.load import Session
from banksim.load.cockpit import SessionCockpit
from web_ext.blueprint import register
from web_ext.guard import Guard, is_loopback, trusted_hosts
from web_ext.login import set_up_login
from web_ext.start_form import check_starts


def attach(session: Session) -> None:
    """Put the pages, the API and the check of the start form into a session's web UI, if it has one.

    Raises UsageError when --web-login is on and nobody could sign in.
    """
    environment = session.environment
    web_ui = environment.web_ui
    if web_ui is None:
        return
    base_path = (environment.parsed_options.web_base_path or "").rstrip("/")
    guard = Guard(
        login=bool(web_ui.web_login),
        loopback_only=is_loopback(web_ui.host or ""),
        trusted_hosts=trusted_hosts(),
    )
    if web_ui.web_login:
        set_up_login(web_ui, os.environ, base_path, guard)
    register(environment, SessionCockpit(session, base_path))
    check_starts(web_ui.app, guard, session.prepare_form)
