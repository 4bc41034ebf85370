"""What a locustfile switches on with one call: options, session, checks before the start.

Everything a user can have got wrong on the command line is told before Locust starts
anything, as one message on stderr and the documented exit code.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil
from locust import events
from locust.env import Environment

from banksim.domain import BanksimError, UsageError
from banksim.engine.settings import RunSettings
from banksim.load.defaults import dashboard_address, set_defaults
from banksim.load.endings import Endings
from banksim.load.html_link import link_reports
from banksim.load.log_setup import copy_log, log_calls
from banksim.load.master_port import explain_taken_port
from banksim.load.master_session import MasterSession
from banksim.load.options import add_options
from banksim.load.progress_line import share_terminal, show_progress
from banksim.load.session import Session
from banksim.load.worker_session import WorkerSession
from banksim.measure.thresholds_grammar import parse_thresholds

logger = logging.getLogger(__name__)


def install(on_ready: Callable[[Session], None] | None = None) -> None:
    """Listen to Locust's events.  ``on_ready`` is called with the session once it exists."""
    explain_taken_port()

    @events.init_command_line_parser.add_listener
    def _(parser: Any) -> None:
        add_options(parser)
        try:
            set_defaults(parser, os.environ)
        except UsageError as error:
            _exit_with(error)

    @events.init.add_listener
    def _(environment: Environment, **_: Any) -> None:
        try:
            session = start_session(environment)
            if session is None:
                return
            if on_ready is not None:
                on_ready(session)
        except BanksimError as error:
            _exit_with(error)


def start_session(environment: Environment) -> Session | None:
    """Check the command line and join banksim to this Locust process; None for a worker.

    Raises BanksimError with a message for people.
    """
    options = environment.parsed_options
    log_calls(environment.events)
    if options.log_file:
        copy_log(Path(options.log_file))
    if options.worker:  # the master has the say, the pages and the report
        share_terminal(options, sys.stderr, os.environ)
        Endings(environment, WorkerSession(environment))
        return None
    session = MasterSession(environment) if options.master else Session(environment)
    show_progress(session, options, sys.stderr, os.environ)
    link_reports()
    starts_now = options.headless or options.autostart
    parse_thresholds(options.threshold or ())
    if not options.headless:
        _check_port(options.web_host, options.web_port)
        logger.info("Dashboard: %s", dashboard_address(options))
    if starts_now:
        settings = session.prepare(vars(options))
        _announce(settings)
    Endings(environment, session)
    return session


def _announce(settings: RunSettings) -> None:
    logger.info(
        "banksim: scenario %r, %s, seed %d", settings.scenario.name, settings.mode.meaning, settings.seed
    )


def _check_port(host: str, port: int) -> None:
    """Locust would print a traceback for a taken port, after everything else has started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if host == "*" else host, port))
        except OSError as error:
            raise BanksimError(
                f"The web UI cannot listen on {host or '0.0.0.0'}:{port}: {error.strerror or error}. "
                "Choose another port with --web-port, or run without the web UI with --headless."
            ) from None


def _exit_with(error: BanksimError) -> NoReturn:
    print(error, file=sys.stderr)
    for worker in psutil.Process().children():  # of --processes; they would wait a minute for a master
        worker.terminate()
    raise SystemExit(int(error.exit_code))
