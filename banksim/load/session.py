"""The life of runs inside one Locust process.

Locust starts and stops tests; a run has a life of its own (opening customers, simulated
time, drain, report).  The session joins the two:

    shape.tick     → the first one begins the run, in a greenlet of its own; later ones add
                     users where they are short, and None once the run is over ends the test
    test_stopping  → the test was ended early: the run stops offering, drains and reports
                     while the users are still alive to finish what is in flight
    quitting       → the same, and the exit code

It is kept as ``environment.banksim``, where users and shape find it.  Here the run's load is
made by this process; `master_session` and `worker_session` are the two halves of a run whose
load is not.

Calls on their way into Locust's own statistics.

Firing Locust's request event for each call costs as much as sending a third of it.  As long
as only Locust listens, calls that went well are collected for the rest of the
current second and entered together, into the same figures that firing would have given.
Once anybody else listens (a plugin, a request logger), and for every call that failed, the
event is fired as usual.

    call ──► fire                       failed, or another listener is there
        └──► lot per name and method ──► entered when the second is over, or after LATEST_S

What it touches of Locust's entries is Locust 2.47's; a test compares it with firing.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import gevent
import numpy as np
from locust import stats
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_STOPPED

from banksim.load.options import check_form, from_form, run_settings
from banksim.load.users import SeatDispatcher, idle_seats, seat_names, unplayed
from banksim.measure.block import CallBlock
from banksim.measure.counts import OtherUsers
from banksim.measure.results import WorkerShown
from banksim.model import At, BanksimError, ExitCode, UsageError
from banksim.report.console import print_summary
from banksim.run.dispatcher import UserQueues
from banksim.run.kafka import find_brokers
from banksim.run.local_load import LocalLoad, prepare_local_load
from banksim.run.plan import Parts, RunSettings
from banksim.run.run import End, Run, check_run
from banksim.run.sink import Ignore
from banksim.run.timekeeper import Timekeeper
from banksim.scenario import load_scenario
from banksim.targets import Call
from banksim.world.persona import load_personas

#: Wall seconds after which what was collected is entered even if no further call comes.
LATEST_S = 0.5


class CallFailed(Exception):
    """What Locust's failure table shows for a call that went wrong."""


@dataclass(slots=True)
class Lot:
    """Calls of one name that went well, in the current second."""

    latencies_ms: list[float] = field(default_factory=list)
    received_bytes: int = 0


class LocustStatistics(Ignore):
    """Enters calls under names that never vary.  Belongs to one Locust environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._listeners: list[Any] = environment.events.request._handlers
        self._last_s = 0.0
        self._lots: dict[tuple[str, str], Lot] = {}

    def called(self, at: At, calls: Sequence[Call]) -> None:  # noqa: ARG002
        """Calls ended, now."""
        now_s = time.time()
        if int(now_s) != int(self._last_s):
            self.enter()
        # Locust's own listener comes with its runner.
        alone = len(self._listeners) == 1 and self._environment.runner is not None
        if alone and isinstance(calls, CallBlock):  # all went well
            self._last_s = now_s
            for number in np.unique(calls.call).tolist():
                method, name = calls.calls[number]
                these = calls.call == number
                self._collect(
                    name, method, calls.latency_ms[these].tolist(), int(calls.response_bytes[these].sum())
                )
            return
        for call in calls:
            if call.error or not call.sent or not alone:
                self._fire(call)
            else:
                self._last_s = now_s
                self._collect(call.name, call.method, [call.latency_ms], call.response_bytes)

    def _collect(self, name: str, method: str, latencies_ms: Iterable[float], received_bytes: int) -> None:
        lot = self._lots.get((name, method))
        if lot is None:
            if not self._lots:
                gevent.spawn_later(LATEST_S, self.enter)
            lot = self._lots[name, method] = Lot()
        lot.latencies_ms.extend(latencies_ms)
        lot.received_bytes += received_bytes

    def enter(self) -> None:
        """Enter what has been collected."""
        lots, self._lots = self._lots, {}
        for key, lot in lots.items():
            entries = self._environment.stats
            _enter(lot, self._last_s, (entries.total, entries.entries[key]))

    def _fire(self, call: Call) -> None:
        self._environment.events.request.fire(
            request_type=call.method,
            name=call.name,
            response_time=call.latency_ms if call.sent else None,  # Locust counts it without a time
            response_length=call.response_bytes,
            exception=CallFailed(call.error) if call.error else None,
            context={"system": call.system},
        )


def _enter(lot: Lot, last_s: float, entries: tuple[stats.StatsEntry, ...]) -> None:
    """What `StatsEntry.log` does for each call, for all calls of one second and name at once."""
    second, latencies_ms = int(last_s), lot.latencies_ms
    rounded_ms = Counter(map(stats.bucket_response_time, latencies_ms))
    total_ms, shortest_ms, longest_ms = sum(latencies_ms), min(latencies_ms), max(latencies_ms)
    for entry in entries:
        before_s = entry.last_request_timestamp
        if entry.use_response_times_cache and before_s and second > int(before_s):
            entry._cache_response_times(second - 1)
        entry.num_requests += len(latencies_ms)
        entry.num_reqs_per_sec[second] += len(latencies_ms)
        entry.last_request_timestamp = max(before_s or 0.0, last_s)
        entry.total_response_time += total_ms
        known_ms = entry.min_response_time
        entry.min_response_time = shortest_ms if known_ms is None else min(known_ms, shortest_ms)
        entry.max_response_time = max(entry.max_response_time, longest_ms)
        entry.total_content_length += lot.received_bytes
        for value_ms, count in rounded_ms.items():
            entry.response_times[value_ms] += count


# -- What users that are none of ours did, in Locust's own tables -----------------------------------


def users_beside(environment: Environment) -> OtherUsers | None:
    """Users that are not banksim's, and all requests and tasks that failed in users' own code.

    Errors of ours are `CallFailed`; on a master errors arrive as text, which begins with that name.
    """
    runner, code = environment.runner, environment.parsed_options.exit_code_on_error
    classes = sorted(one.__name__ for one in environment.user_classes if not seat_names([one]))
    errors, exceptions = (runner.errors, runner.exceptions) if runner is not None else ({}, {})
    rows = [
        row
        for row in errors.values()
        if CallFailed.__name__ not in (type(row.error).__name__, str(row.error).partition("(")[0])
    ]
    raised = list(exceptions.values())
    if not classes and not raised and not rows:
        return None
    first = [f"{row.method} {row.name}: {type(row.error).__name__}" for row in rows[:1]]
    first += [str(row["msg"]) for row in raised[:1]]
    return OtherUsers(
        classes,
        sum(row.occurrences for row in rows),
        sum(row["count"] for row in raised),
        (first or [""])[0][:200],
        tolerated=not int(code),
    )


logger = logging.getLogger(__name__)

#: How long Locust waits for a user that is in the middle of a call, unless told otherwise.
STOP_TIMEOUT_S = 15.0
#: Locust gives workers this long to stop their users, and a little more.
STOPS_WITHIN_S = 90.0


class Session:
    """Runs of one Locust process, one at a time."""

    #: Processes that make load.
    makers = 1

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._statistics = LocustStatistics(environment)
        self._run: Run | None = None
        self._queues: UserQueues | None = None
        self._prepared: RunSettings | None = None
        self._refused: BanksimError | None = None
        if not environment.stop_timeout:
            environment.stop_timeout = STOP_TIMEOUT_S
        environment.banksim = self
        options = environment.parsed_options
        environment.dispatcher_class = partial(SeatDispatcher, others=options.num_users)
        #: Wall seconds after which a run is ended, whatever is left of it; Locust is not to end it as well.
        self._run_time_s: float | None = options.run_time
        options.run_time = None
        events = environment.events
        events.test_stopping.add_listener(self._on_test_stopping)

    @property
    def run(self) -> Run:
        """The present run, or the last one.  Raises RuntimeError when there was none yet."""
        if self._run is None:
            raise RuntimeError("no run has been started")
        return self._run

    @property
    def queues(self) -> UserQueues:
        """Where the users of the present run take arrivals from.

        Raises RuntimeError when there was no run yet.
        """
        if self._queues is None:
            raise RuntimeError("no run has been started")
        return self._queues

    @property
    def started(self) -> bool:
        return self._run is not None

    @property
    def last_run(self) -> Run | None:
        return self._run

    @property
    def over(self) -> bool:
        return self._run is not None and self._run.finished.is_set()

    @property
    def active(self) -> bool:
        return self._run is not None and not self._run.finished.is_set()

    @property
    def maker_ids(self) -> frozenset[str]:
        """Which processes make load, where it is not this one."""
        return frozenset()

    @property
    def max_users(self) -> int:
        return self.run.settings.scenario.max_users

    @property
    def peak_tps(self) -> float:
        return self.run.peak_tps

    def shortage_ms(self) -> float:
        return self.run.shortage_ms()

    def prepare(self, options: Mapping[str, Any], allow_paths: bool = True) -> RunSettings:
        """Check that a run with these options can start, and keep its settings for the next start.

        Raises BanksimError with one message.
        """
        settings = run_settings(options, os.environ, allow_paths)
        check_run(settings)
        if missing := unplayed(self.environment.user_classes, load_personas(settings.scenario.personas)):
            logger.warning("No user class plays %s: what is due for them is dropped", ", ".join(missing))
        self._prepared = settings
        return settings

    def prepare_form(self, form: Mapping[str, str]) -> RunSettings:
        """The same for a submitted start form.  Raises BanksimError also while a run is under way."""
        if self.active:
            raise UsageError("A run is under way. Stop it first, then start the next one.")
        check_form(form, self.environment)
        given = vars(self.environment.parsed_options)
        options = from_form(form, given)
        # A path is for the owner of the command line; over the web only its own may be named again.
        return self.prepare(options, allow_paths=options["scenario"] == given["scenario"])

    @property
    def report_dir(self) -> Path:
        """Where runs of this process leave their folders."""
        return Path(self.environment.parsed_options.report_dir)

    @property
    def selected(self) -> str:
        """The scenario that the next start takes, by name or as the command line gave it."""
        return str(self.environment.parsed_options.scenario)

    def select(self, name: str) -> None:
        """Take a scenario for the next start, by its bare name.  Raises BanksimError when that is wrong."""
        if name != self.selected:
            load_scenario(name, environ=os.environ, allow_paths=False)
            self.environment.parsed_options.scenario = name

    def start(self, form: Mapping[str, str], switch: bool = False) -> None:
        """Start a run from a page, as Locust's own start button would.  Returns before it has begun.

        ``switch``: the present run is ended first, with its report.  Raises BanksimError with a
        message, and then nothing has been started or ended.
        """
        given = vars(self.environment.parsed_options)
        options = from_form(form, given)
        if self.active and not switch:
            raise BanksimError("A run is under way. Stop it first, or switch to the other scenario.")
        settings = self.prepare(options, allow_paths=options["scenario"] == given["scenario"])
        self.environment.parsed_options.scenario = options["scenario"]
        gevent.spawn(self._start, settings)

    def _start(self, settings: RunSettings) -> None:
        runner = self.environment.runner
        if runner is None or self.environment.shape_class is None:
            logger.error("There is no runner or no load shape to start")
            return
        if runner.state not in (STATE_INIT, STATE_STOPPED):
            runner.stop()  # the present run drains and reports first
        until_s = time.monotonic() + STOPS_WITHIN_S
        while runner.shape_greenlet is not None and time.monotonic() < until_s:
            gevent.sleep(0.05)  # Locust may be stopping the last test, and refuses another one till then
        self._prepared = settings
        runner.start_shape()

    def begin(self) -> bool:
        """Begin a run with the prepared settings, or those of the command line; False when they are wrong."""
        settings, self._prepared = self._prepared, None
        try:
            settings = settings or run_settings(vars(self.environment.parsed_options), os.environ)
        except BanksimError as error:
            logger.error("%s", error)
            self._refused = error
            return False
        self._refused = None
        self._run = self._new_run(settings)
        self._run.beside = partial(users_beside, self.environment)
        gevent.spawn(self._run.conduct)
        if self._run_time_s:
            gevent.spawn_later(self._run_time_s, self._out_of_time, self._run)
        return True

    def _out_of_time(self, run: Run) -> None:
        if not run.finished.is_set():
            logger.warning("--run-time: %g s are over, so the run is stopped", self._run_time_s)
            run.request_end(End.STOPPED)

    def _new_run(self, settings: RunSettings) -> Run:
        classes = self.environment.user_classes
        queues = self._queues = UserQueues(seat_names(classes), idle_seats(classes))
        sinks = [self._statistics]

        def prepare(plan: Parts, timekeeper: Timekeeper) -> LocalLoad:
            return prepare_local_load(settings, plan, timekeeper, queues, find_brokers(settings), sinks)

        return Run(settings, prepare)

    def worker_rows(self) -> list[WorkerShown] | None:
        """Each worker for the status page; None where there are none to be had."""
        return None

    @property
    def idle_message(self) -> str:
        """What the pages say before the first run."""
        return "No run yet"

    def quit(self) -> None:
        """Nothing has begun yet, and nothing will."""

    def end(self, end: End) -> None:
        """End the present run, if any, and wait until its report is written."""
        if self._run is not None and not self._run.finished.is_set():
            self._run.request_end(end)
            self._run.finished.wait()

    @property
    def exit_code(self) -> ExitCode:
        """What the last run means as an exit code."""
        if self._refused is not None:
            return self._refused.exit_code
        return self._run.exit_code if self._run is not None else ExitCode.COMPLETED

    def _on_test_stopping(self, **_: object) -> None:
        self.end(End.STOPPED)
        self._statistics.enter()


# -- Endings: a run that is ended from outside is drained and reported like any other ---------------
#
# What Locust does on its own loses the report: SIGTERM kills a headless shape test on the
# spot and skips ``--html`` under the web UI, and Ctrl-C during ``--autostart`` only stops
# the test.  So both signals are caught here, and mean the same in every mode:
#
#     first signal    stop offering, drain, write the report, exit 130
#     second signal   exit 130 at once


#: A closed terminal or a lost connection (SIGHUP) ends a run like Ctrl-C.
ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def end_quietly_before_the_start() -> None:
    """Until `Endings` listens there is nothing to report: the documented exit code, and no traceback."""

    def leave(number: int, _: object) -> None:
        print(f"{signal.Signals(number).name}: ended before anything had begun", file=sys.stderr)
        raise SystemExit(int(ExitCode.INTERRUPTED))

    for number in ENDING_SIGNALS:
        signal.signal(number, leave)


class Ending(Protocol):
    """What can be ended: a session of this process."""

    @property
    def started(self) -> bool: ...
    @property
    def exit_code(self) -> ExitCode: ...
    def end(self, end: End) -> None:
        """End the present run, if any, and wait until all of it is reported."""

    def quit(self) -> None:
        """Leave the other processes of the run in good order."""


class Endings:
    """Listens to signals and to Locust's quitting, and decides the exit code."""

    def __init__(self, environment: Environment, session: Ending) -> None:
        self._environment = environment
        self._session = session
        self._interrupted = False
        self._main = gevent.getcurrent()
        for number in ENDING_SIGNALS:
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
        if self._environment.process_exit_code is None:
            self._environment.process_exit_code = int(self._exit_code())
        self._print_summary()

    def _exit_code(self) -> int:
        options = self._environment.parsed_options
        if self._interrupted and options.worker and options.processes:
            return ExitCode.COMPLETED  # the signal was for all processes; the parent tells of it
        if self._interrupted:
            return ExitCode.INTERRUPTED
        code = self._session.exit_code
        beside = users_beside(self._environment)
        if code is ExitCode.COMPLETED and not options.worker and beside is not None and beside.failures:
            return int(options.exit_code_on_error)
        return code

    def _print_summary(self) -> None:
        """How the last run went, before any tables of Locust's."""
        run = self._session.last_run if isinstance(self._session, Session) else None
        if run is not None and run.results is not None:
            # --json promises that stdout is JSON.
            out = sys.stderr if self._environment.parsed_options.json else sys.stdout
            try:
                print_summary(run.results, out, os.environ, str(run.settings.folder / "report.html"))
            except (OSError, AttributeError) as error:  # a full disk, a closed pipe; None is a closed stream
                logger.warning("The summary cannot be printed: %s", error)
