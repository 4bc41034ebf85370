"""Shared test set-up.  Locust patches the standard library when imported, so it goes first."""

import locust  # noqa: F401

# isort: split
import os
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """Where everything a test needs is installed (BANKSIM_NO_SKIP=1), a skipped test is a failed one."""
    result = yield
    report = result.get_result()
    if report.skipped and os.environ.get("BANKSIM_NO_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may skip: {report.longrepr}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-docs", action="store_true", help="write the generated parts of docs/ anew")
