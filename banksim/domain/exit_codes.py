"""Exit codes of every banksim command, in one place."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Read by CI pipelines: do not renumber."""

    COMPLETED = 0  # the run or command did what it was asked
    ERROR = 1  # something failed: a target, a file, a fault
    USAGE = 2  # wrong option, or an invalid scenario
    THRESHOLD_FAILED = 99  # the run completed, and a threshold was not met
    INTERRUPTED = 130  # Ctrl-C or SIGTERM; the report of what was done is written
