"""What the environment and the scenario say about Locust's own options: log level, port, pages.

Precedence is that of every setting: command line, environment, scenario, default.  A variable
becomes Locust's default, so its flag and its own variables (LOCUST_WEB_PORT) still win.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.domain import BanksimError, UsageError
from banksim.load.log_setup import level_from
from banksim.load.options import DEFAULT_SCENARIO
from banksim.scenario import load_scenario

ALL_INTERFACES = ("", "*", "0.0.0.0", "::")


def set_defaults(parser: Any, environ: Mapping[str, str]) -> None:
    """LOG_LEVEL and DASHBOARD_PORT as defaults of --loglevel and --web-port.  Raises UsageError."""
    if level := level_from(environ):
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
