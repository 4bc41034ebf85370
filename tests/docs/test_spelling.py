"""Common misspellings, in documents, scenarios, code and pages; pyproject.toml lists words that are right."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.pages import ROOT

WHERE = (
    "README.md",
    "CHANGELOG.md",
    "docs",
    "scenarios",
    "banksim",
    "web_ext",
    "locustfiles",
    "tests",
    "benchmarks",
)
FILES = ("run.py", "Makefile", "Dockerfile", "docker-compose.yml")


def test_nothing_is_misspelt() -> None:
    command = [sys.executable, "-m", "codespell_lib", *WHERE, *FILES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
