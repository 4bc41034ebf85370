"""Errors a user can meet, and the exit code of each.

    BanksimError                     1  something failed
    ├── UsageError                   2  the command line or a form field is wrong
    │   └── ScenarioError            2  a scenario file is wrong (all its problems at once)
    ├── TargetUnreachable            1  a bank or detector does not answer
    └── ReportFolderError            1  the report cannot be written

Each carries one clear message for people; none is shown with a traceback.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from enum import IntEnum

# -- Exit codes of every banksim command, in one place ----------------------------------------------


class ExitCode(IntEnum):
    """Read by CI pipelines: do not renumber."""

    COMPLETED = 0  # the run or command did what it was asked
    ERROR = 1  # something failed: a target, a file, a fault
    USAGE = 2  # wrong option, or an invalid scenario
    THRESHOLD_FAILED = 99  # the run completed, and a threshold was not met
    INTERRUPTED = 130  # Ctrl-C or SIGTERM; the report of what was done is written


class BanksimError(Exception):
    """Base of every error that is the user's to read."""

    exit_code: ExitCode = ExitCode.ERROR

    def __str__(self) -> str:
        """What it says, whatever a file or a target put into it: no character that a terminal obeys."""
        return visible(super().__str__())


def visible(text: str) -> str:
    """``text`` with control and direction characters as escapes; line breaks stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode() if _is_control(letter) else letter for letter in text
    )


def _is_control(letter: str) -> bool:
    return letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs")


class UsageError(BanksimError):
    """An option or a form field holds something it cannot."""

    exit_code = ExitCode.USAGE


class ScenarioError(UsageError):
    """A scenario is not valid.  ``problems`` holds one line per mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class TargetUnreachable(BanksimError):
    """A target system does not answer at its address."""


class ReportFolderError(BanksimError):
    """The folder for results cannot be made or written."""
