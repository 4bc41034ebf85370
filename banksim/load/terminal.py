"""How a headless run is going, as one line that rewrites itself; and where the log goes.

    ██████████░░░░░░░░░░  43%  2 min 5 s left  recall 81 % of 57  lag 3.1 ms  12.4 TPS  day 1, 14:23

The line shares the terminal with the log: a log record first takes the line away, and the
next moment draws it again below; workers that share the terminal (--processes) do so too.

A greenlet draws it, from counts that are there anyway: nothing waits, no thread is needed.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import gevent
from locust.event import Events

from banksim.load.session import Session
from banksim.measure.formats import milliseconds, percent
from banksim.model import BanksimError, UsageError
from banksim.report.console import Line, can_rewrite, length_text, wants_colour
from banksim.run.monitor import simulated_time
from banksim.run.run import Run, State

logger = logging.getLogger(__name__)

# -- The log: how much of it (LOG_LEVEL) and where else it goes (--log-file) ------------------------
#
# Locust sets up the console; its own --logfile takes the log away from there.  An operator who
# watches a run and greps it afterwards wants both, so --log-file adds a file and leaves the
# console as it is.  The file is bounded: a few parts, the oldest one goes.
#
# At DEBUG every call to a target is a line too.  At other levels there is no listener for calls, so
# they cost nothing.


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: Size of one part of the file, and how many older ones are kept.
MAX_BYTES = 50_000_000
OLDER_PARTS = 3


def level_from(environ: Mapping[str, str]) -> str | None:
    """The level that LOG_LEVEL asks for, None when it asks for nothing.  Raises UsageError."""
    level = environ.get("LOG_LEVEL", "").strip().upper()
    if level and level not in LEVELS:
        raise UsageError(f"LOG_LEVEL: expected {', '.join(LEVELS)}, got {environ['LOG_LEVEL']!r}")
    return level or None


def copy_log(path: Path) -> None:
    """Write the log to ``path`` too, after what is there.  Raises BanksimError when that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=OLDER_PARTS, encoding="utf-8")
    except OSError as error:
        raise BanksimError(f"--log-file: {path} cannot be written: {error.strerror or error}") from None
    handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    logging.getLogger().addHandler(handler)
    own = logging.getLogger("locust")
    if not own.propagate:  # as Locust sets it up
        own.addHandler(handler)


class ShortLines(logging.Formatter):
    """ "00:18:42 TPS 12.4", with the level where it is not INFO: for people who watch a run."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        level = "" if record.levelno == logging.INFO else f"{record.levelname}: "
        return f"{record.asctime} {level}{record.message}"


def shorten_lines(options: Any) -> None:
    """Give the console short lines; a log file, and a console that somebody else set up, keep theirs.

    Locust's goodbye is left out: the last line of a run is the place of its report.
    """
    if options.skip_log_setup or options.logfile:
        return
    for handler in logging.getLogger().handlers:  # Locust's logger has the same ones
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(ShortLines())
            handler.addFilter(lambda record: not record.getMessage().startswith("Shutting down (exit"))


def _tell_once(handler: logging.Handler, record: logging.LogRecord) -> None:  # noqa: ARG001
    """A log that cannot be written (a full disk) is one line, not a traceback for every line."""
    if handler not in _silent:
        _silent.add(handler)
        with suppress(OSError, AttributeError):
            print(f"The log cannot be written any more: {sys.exc_info()[1]}", file=sys.stderr)


_silent: set[logging.Handler] = set()


def log_calls(events: Events) -> None:
    """At DEBUG log every call; and keep Faker's own messages out of the log."""
    for name in ("stdout", "stderr"):  # None where the caller has closed them
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - as long as the process lives
    logging.Handler.handleError = _tell_once  # type: ignore[assignment]
    logging.getLogger("faker").setLevel(logging.INFO)
    if logger.isEnabledFor(logging.DEBUG):
        events.request.add_listener(_log_call)


def _log_call(
    request_type: str, name: str, response_time: float | None, exception: Exception | None, **_: Any
) -> None:
    took = "not sent" if response_time is None else f"{response_time:.1f} ms"
    logger.debug("Call: %s %s, %s%s", request_type, name, took, f", {exception}" if exception else "")


EVERY_S = 0.5
#: Lag is that of the last moments: what counts is how the run is going now.
WINDOW_S = 5.0


def show_progress(session: Session, options: Any, stream: TextIO, environ: Mapping[str, str]) -> None:
    """Draw the line on ``stream`` while runs go on; does nothing unless that is a terminal."""
    if not options.headless or not can_rewrite(stream, environ):
        return
    line = ProgressLine(stream, wants_colour(stream, environ))
    session.environment.events.quitting.add_listener(lambda **_: line.end())
    gevent.spawn(line.follow, session)


def share_terminal(options: Any, stream: TextIO, environ: Mapping[str, str]) -> None:
    """In a worker whose terminal is the master's: clear the master's line before each line of log."""
    if options.headless and options.processes and can_rewrite(stream, environ):
        line = Line(stream, colour=False)
        before_each_record(lambda: line.clear(anyway=True))


def before_each_record(action: Callable[[], None]) -> None:
    """Do ``action`` whenever the console is about to get a line of log."""

    def filtered(_: logging.LogRecord) -> bool:
        action()
        return True

    for name in (None, "locust"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(filtered)


class ProgressLine(Line):
    """The line of a session's runs."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        super().__init__(stream, colour)
        self._ended = False
        before_each_record(self.clear)

    def follow(self, session: Session) -> None:
        """Draw what is going on, until `end`."""
        while not self._ended:
            run = session.last_run
            if run is None or run.finished.is_set():
                self.clear()
            else:
                self.draw(progress_of(run), parts_of(run))
            gevent.sleep(EVERY_S)

    def end(self) -> None:
        self._ended = True
        self.clear()


def progress_of(run: Run) -> float:
    """How much of simulated time has passed, 0..1; before that, how far the preparation is."""
    if run.state is State.OPENING and run.opening is not None:
        return run.opening.done / max(1, run.opening.total)
    return run.moment()[1] / run.settings.scenario.duration_s


def parts_of(run: Run) -> list[str]:
    """What stands after the bar, in the order of its worth."""
    if run.state is State.OPENING and run.opening is not None and run.opening.total:
        return [run.opening.text]
    if run.state not in (State.RUNNING, State.PAUSED):
        return [run.message]
    wall_s, sim_s = run.moment()
    scenario = run.settings.scenario
    parts = []
    if run.state is State.PAUSED:
        parts.append("paused")
    elif scenario.load is not None:
        parts += _search(run)
    else:
        parts.append(f"{length_text(round(max(0.0, scenario.duration_s - sim_s) / run.speed))} left")
    return [*parts, *_recall(run), *_pace(run, wall_s), simulated_time(scenario.start_at, sim_s)]


def _search(run: Run) -> list[str]:
    """The rate under test; when the limit will be known only once a rate has failed."""
    found = run.load.capacity
    if found is None or found.testing_tps is None:
        return []
    left = "" if found.left_s is None else f", {length_text(round(found.left_s))} left"
    return [f"testing {found.testing_tps:.4g} TPS{left}"]


def _pace(run: Run, wall_s: float) -> list[str]:
    window = run.measures.timeline.window(wall_s, WINDOW_S)
    if window is None:
        return []
    bucket, covered_s = window
    lag_ms = bucket.lag.percentile(99)
    parts = [f"{run.measures.tally.dropped:,} dropped"] if run.measures.tally.dropped else []
    if lag_ms is not None:
        parts.append(f"lag {milliseconds(lag_ms)}")
    return [*parts, f"{bucket.sent / covered_s:.1f} TPS"]


def _recall(run: Run) -> list[str]:
    """So far, of the frauds that were judged."""
    fraud = run.measures.detection.fraudulent()
    judged = fraud.alerted + fraud.not_alerted
    return [f"recall {percent(fraud.alerted / judged)} of {judged:,}"] if judged else []
