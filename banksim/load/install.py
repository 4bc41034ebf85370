"""What a locustfile switches on with one call: options, session, checks before the start.

Everything a user can have got wrong on the command line is reported before Locust starts
anything, as one message on stderr and the documented exit code.

LOCUST_INTERNALS lists every place where Locust is patched, or where something is used that it does not
promise: the first thing to read when another version of Locust is to be used.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import locust.main
import locust.stats
import locust.web
import psutil
from locust import events
from locust.env import Environment
from locust.exception import RPCError

from banksim.load import terminal
from banksim.load.distributed import MasterSession, WorkerSession
from banksim.load.options import DEFAULT_SCENARIO, add_options, heed_locusts_options
from banksim.load.session import Endings, Session, end_quietly_before_the_start
from banksim.load.users import check_cast
from banksim.measure.thresholds.judge import parse_thresholds
from banksim.model import BanksimError, ExitCode, UsageError
from banksim.run.plan import RunSettings
from banksim.scenario import load_scenario

logger = logging.getLogger(__name__)

#: What of Locust 2.47 is patched or reached into, and for what.  A test finds any other place, and checks
#: that each of these is still there.
LOCUST_INTERNALS = {
    # Wrapped, here.
    "locust.env.Environment.create_master_runner": "a port that is taken is one line, not a traceback",
    "locust.main.get_html_report": "Locust's report links to ours",
    "locust.web.get_html_report": "the same, from the web UI",
    "locust.stats.print_stats": "no tables of calls after a run, unless asked for",
    "locust.stats.print_percentile_stats": "the same",
    "locust.stats.print_error_report": "the same",
    # Used, in session.py.
    "locust.event.EventHook._handlers": "whether anything but Locust itself listens to calls",
    "locust.stats.StatsEntry._cache_response_times": "calls are entered in lots",
    # Used, in users.py.
    "locust.runners.Runner.shape_last_tick": "a new worker needs users although their number stays the same",
    "locust.user.task.TaskSet._task_queue": "the first task of a user",
    "locust.user.users.User._taskset_instance": "a task set that takes arrivals in place of the default one",
    "locust.user.users.User._state": "a user that waits for an arrival may be stopped at once",
    # Wrapped and used, in distributed.py.
    "locust.runners.MasterRunner.handle_message": "what Locust cannot handle is counted and left out",
    "locust.runners.MasterRunner.reset_connection": "a new server is guarded too",
    "locust.rpc.zmqrpc.BaseSocket.recv_from_client": "a frame that is no message is counted and left out",
    "locust.runners.MasterRunner.stop": "a run outlives the moment in which all workers are away",
    "locust.runners.MasterRunner.quit": "the same",
    "locust.runners.MasterRunner.check_stopped": "the same",
    "locust.runners.MasterRunner.heartbeat_worker": "whether it is Locust itself that stops",
    "locust.runners.MasterRunner.client_listener": "the same",
    # Used, in distributed.py.
    "locust.runners.WorkerRunner.last_heartbeat_timestamp": "a clock that jumps is no master that is gone",
    "locust.runners.WorkerRunner.worker_state": "whether Locust reads messages now",
    # Used, in web_ext/app.py.
    "locust.web.WebUI.template_args": "the banksim tab in Locust's page",
}

# -- A master whose port is taken reports it in one line -----------------------------------------------
#
# Locust binds the port before any event is fired, and its error ends in a traceback.  So
# the call that binds is wrapped, and only that.


def explain_taken_port() -> None:
    """Wrap the call; harmless when called again."""
    original = Environment.create_master_runner
    if not hasattr(original, "banksim_original"):
        Environment.create_master_runner = _explained(original)


def _explained(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def create(environment: Environment, master_bind_host: str = "*", master_bind_port: int = 5557) -> Any:
        try:
            return original(environment, master_bind_host, master_bind_port)
        except RPCError as error:
            host = "every address" if master_bind_host == "*" else master_bind_host
            print(
                f"The master cannot listen to its workers on port {master_bind_port} of {host}: {error}. "
                "Choose another port with --master-bind-port, and give it to the workers with --master-port.",
                file=sys.stderr,
            )
            raise SystemExit(int(ExitCode.ERROR)) from None

    create.banksim_original = original  # type: ignore[attr-defined]
    return create


# -- Locust's own HTML report (--html, or "Download report" in the UI) gets a link to ours ----------
#
# Locust has no hook for its report, so the function that makes it is wrapped where Locust calls
# it, in two modules.  The link goes before the last ``</body>``: the first one is inside the page's
# own script.  A page without one, or a run without a report, is left as it is.


BODY_END = "</body>"
LINK = (
    '<p style="margin: 24px; padding: 12px 16px; border-left: 4px solid #15803d; font: 16px sans-serif">'
    '<a href="{href}" style="color: #15803d">banksim report of this run</a>: what was caught and missed, '
    "thresholds, simulated time.</p>\n"
)


def link_reports() -> None:
    """Wrap the function in both places; harmless when called again."""
    for module in (locust.main, locust.web):
        original = module.get_html_report
        if not hasattr(original, "banksim_original"):
            module.get_html_report = _linked(original)


def _linked(original: Callable[..., str]) -> Callable[..., str]:
    @wraps(original)
    def with_link(environment: Environment, *args: Any, **options: Any) -> str:
        page = original(environment, *args, **options)
        href = report_address(environment)
        return insert_link(page, href) if href else page

    with_link.banksim_original = original  # type: ignore[attr-defined]
    return with_link


def insert_link(page: str, href: str) -> str:
    """``page`` with the link at its end."""
    before, end, after = page.rpartition(BODY_END)
    return before + LINK.format(href=escape(href, quote=True)) + end + after if end else page


def report_address(environment: Environment) -> str | None:
    """Where the last run's report is, seen from Locust's page; None without one.

    A page in a file points to the report's file, relative to it as long as both are on one drive; a
    page from the web UI points into the UI.
    """
    session = getattr(environment, "banksim", None)
    run = session.last_run if session is not None else None
    if run is None or not (run.settings.folder / "report.html").is_file():
        return None
    report: Path = (run.settings.folder / "report.html").resolve()
    options = environment.parsed_options
    if environment.web_ui is None and options.html_file:
        try:
            return quote(Path(os.path.relpath(report, Path(options.html_file).resolve().parent)).as_posix())
        except ValueError:  # another drive
            return report.as_uri()
    base_path = (options.web_base_path or "").rstrip("/")
    return f"{base_path}/banksim/report/{quote(run.settings.run_id)}/report.html"


# -- Locust's tables: only those that were asked for ------------------------------------------------
#
# They mix opening the customers with load, and would push the summary off the screen.  --print-stats shows
# them all through the run and at its end, --only-summary at its end.


def leave_out_tables(options: Any) -> None:
    """Nothing of Locust's own statistics on the terminal, unless one of its options asks for it."""
    if options.print_stats or options.only_summary:
        return
    options.only_summary = True
    for name in ("print_stats", "print_percentile_stats", "print_error_report"):
        setattr(locust.stats, name, lambda *_, **__: None)


# -- Defaults of Locust's own options from the environment and the scenario: log level, port, pages ---
#
# Precedence is that of every setting: command line, environment, scenario, default.  A variable
# becomes Locust's default, so its flag and its own variables (LOCUST_WEB_PORT) still win.


ALL_INTERFACES = ("", "*", "0.0.0.0", "::")


def set_defaults(parser: Any, environ: Mapping[str, str]) -> None:
    """LOG_LEVEL and DASHBOARD_PORT as defaults of --loglevel and --web-port.  Raises UsageError."""
    if level := terminal.level_from(environ):
        parser.set_defaults(loglevel=level)
    if port := environ.get("DASHBOARD_PORT", "").strip():
        if not port.isdecimal() or not 1 <= int(port) <= 65_535:
            raise UsageError(f"DASHBOARD_PORT: expected a whole number from 1 to 65535, got {port!r}")
        parser.set_defaults(web_port=int(port))


def pages_wanted(options: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """Whether banksim's pages are served: unless the scenario says `dashboard.enabled: false`."""
    if options.get("dashboard"):
        return True
    try:
        scenario = load_scenario(str(options.get("scenario") or DEFAULT_SCENARIO), environ=environ)
    except BanksimError:
        return True  # the start says what is wrong
    return scenario.dashboard.enabled


def dashboard_address(options: Any) -> str:
    """Where this machine's browser finds the live page."""
    host = "localhost" if options.web_host in ALL_INTERFACES else options.web_host
    scheme = "https" if options.tls_cert else "http"
    return f"{scheme}://{host}:{options.web_port}{options.web_base_path or ''}/banksim/"


def install(on_ready: Callable[[Session], None] | None = None) -> None:
    """Listen to Locust's events.  ``on_ready`` is called with the session once it exists."""
    explain_taken_port()
    if threading.current_thread() is threading.main_thread():
        end_quietly_before_the_start()

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

    Raises BanksimError with a message for the user.
    """
    options = environment.parsed_options
    check_cast(environment)
    terminal.log_calls(environment.events)
    terminal.shorten_lines(options)
    leave_out_tables(options)
    if options.log_file:
        terminal.copy_log(Path(options.log_file))
    if options.worker:  # the master has the say, the pages and the report
        terminal.share_terminal(options, sys.stderr, os.environ)
        Endings(environment, WorkerSession(environment))
        return None
    heed_locusts_options(environment)
    session = MasterSession(environment) if options.master else Session(environment)
    terminal.show_progress(session, options, sys.stderr, os.environ)
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
