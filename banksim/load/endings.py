"""Endings: a run that is ended from outside is drained and reported like any other.

What Locust does on its own loses the report: SIGTERM kills a headless shape test on the
spot and skips ``--html`` under the web UI, and Ctrl-C during ``--autostart`` only stops
the test.  So both signals are caught here, and mean the same in every mode:

    first signal    stop offering, drain, write the report, exit 130
    second signal   exit 130 at once
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any, Protocol

import gevent
from locust.env import Environment

from banksim.domain import ExitCode
from banksim.engine.run import End
from banksim.load.session import Session
from banksim.report.console import print_summary

logger = logging.getLogger(__name__)


class Ending(Protocol):
    """What can be ended: a session of this process."""

    @property
    def started(self) -> bool: ...
    @property
    def exit_code(self) -> ExitCode: ...
    def end(self, end: End) -> None:
        """End the run under way, if any, and wait until all of it is told."""

    def quit(self) -> None:
        """Tell whoever works with this process that it goes."""


class Endings:
    """Listens to signals and to Locust's quitting, and decides the exit code."""

    def __init__(self, environment: Environment, session: Ending) -> None:
        self._environment = environment
        self._session = session
        self._interrupted = False
        self._main = gevent.getcurrent()
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, self._on_signal, signal.Signals(number).name)
        environment.events.quitting.add_listener(self._on_quitting)

    def _on_signal(self, name: str) -> None:
        if self._interrupted:
            os._exit(ExitCode.INTERRUPTED)
        self._interrupted = True
        logger.info("%s: finishing what is under way and writing the report; again to exit at once", name)
        self._session.end(End.INTERRUPTED)
        if self._environment.web_ui is not None:
            self._environment.web_ui.stop()  # the main greenlet waits for it, then exits in good order
        elif self._environment.parsed_options.worker:
            self._session.quit()  # and the main greenlet, which waits for that, exits in good order
        elif not self._session.started:
            self._session.quit()
            os._exit(ExitCode.INTERRUPTED)

    def _on_quitting(self, **_: Any) -> None:
        self._session.end(End.INTERRUPTED if self._interrupted else End.STOPPED)
        if self._interrupted and gevent.getcurrent() is not self._main:
            # Locust's own SIGTERM handler exits from a greenlet and skips its --html report.
            # Hold it here; the main greenlet ends the process as soon as the web server is down.
            gevent.sleep(60.0)
        self._print_summary()
        if self._environment.process_exit_code is None:
            self._environment.process_exit_code = int(self._exit_code())

    def _exit_code(self) -> ExitCode:
        options = self._environment.parsed_options
        if self._interrupted and options.worker and options.processes:
            return ExitCode.COMPLETED  # the signal was for all processes; the parent tells of it
        return ExitCode.INTERRUPTED if self._interrupted else self._session.exit_code

    def _print_summary(self) -> None:
        """How the run went, before Locust's own tables; with the web UI the page has said it."""
        run = self._session.last_run if isinstance(self._session, Session) else None
        if run is not None and run.results is not None and self._environment.web_ui is None:
            print_summary(run.results, sys.stdout, os.environ)
