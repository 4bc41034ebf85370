"""The log: how much of it (LOG_LEVEL) and where else it goes (--log-file).

Locust sets up the console; its own --logfile takes the log away from there.  An operator who
watches a run and greps it afterwards wants both, so --log-file adds a file and leaves the
console as it is.  The file is bounded: a few parts, the oldest one goes.

At DEBUG every call to a target is a line too.  Nobody listens for calls at other levels, so
that costs nothing then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from locust.event import Events

from banksim.domain import BanksimError, UsageError

logger = logging.getLogger(__name__)

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
#: Size of one part of the file, and how many older ones are kept beside it.
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


def log_calls(events: Events) -> None:
    """At DEBUG tell of every call; and keep the word lists' own workings out of the log."""
    logging.getLogger("faker").setLevel(logging.INFO)
    if logger.isEnabledFor(logging.DEBUG):
        events.request.add_listener(_tell_call)


def _tell_call(
    request_type: str, name: str, response_time: float | None, exception: Exception | None, **_: Any
) -> None:
    took = "not sent" if response_time is None else f"{response_time:.1f} ms"
    logger.debug("Call: %s %s, %s%s", request_type, name, took, f", {exception}" if exception else "")
