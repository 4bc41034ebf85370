"""banksim's pages for a session: what the locustfile hands to `banksim.load.hooks.install`."""

from __future__ import annotations

import logging
import os

from banksim.load import Session
from banksim.load.cockpit import SessionCockpit
from banksim.load.defaults import pages_wanted
from web_ext.blueprint import protect_locust, register
from web_ext.cockpit import Cockpit
from web_ext.guard import Guard, is_loopback, trusted_hosts
from web_ext.login import set_up_login
from web_ext.recorder import Recorder
from web_ext.start_form import check_starts

logger = logging.getLogger(__name__)


def attach(session: Session) -> None:
    """Record every run; put the pages, the API and the check of the start form into the web UI, if any.

    Raises UsageError when --web-login is on and nobody could sign in.
    """
    environment = session.environment
    base_path = (environment.parsed_options.web_base_path or "").rstrip("/")
    cockpit = SessionCockpit(session, base_path)
    record_runs(session, cockpit)
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
        register(environment, cockpit)
    else:
        logger.info("The scenario says dashboard.enabled: false, so only Locust's own pages are served")
        protect_locust(web_ui.app, guard)
    check_starts(web_ui.app, guard, session.prepare_form)


def record_runs(session: Session, cockpit: Cockpit) -> None:
    """Let every run leave its record, also without a web UI."""
    recorder = Recorder(cockpit, session.report_dir)
    events = session.environment.events
    events.test_stop.add_listener(lambda **_: recorder.look())
    events.quitting.add_listener(lambda **_: recorder.close())
    recorder.start()
