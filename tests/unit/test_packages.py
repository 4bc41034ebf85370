"""Ranges in the package's metadata, exact versions for a run of this repository: both name the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RANGES = {req.name: req for req in map(Requirement, PROJECT["dependencies"])}
EXTRAS = {
    req.name: req for names in PROJECT["optional-dependencies"].values() for req in map(Requirement, names)
}


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return dict(
        found.groups() for line in lines if (found := re.match(r"([A-Za-z0-9_.-]+)==([^ ;#]+)", line))
    )


def test_every_package_of_a_run_is_in_both() -> None:
    assert RANGES.keys() == pins("requirements.txt").keys()


@pytest.mark.parametrize("name", RANGES)
def test_the_exact_version_is_in_the_range(name: str) -> None:
    assert Version(pins("requirements.txt")[name]) in RANGES[name].specifier


@pytest.mark.parametrize("name", EXTRAS)
def test_so_is_that_of_an_extra(name: str) -> None:
    assert Version(pins("requirements-dev.txt")[name]) in EXTRAS[name].specifier


@pytest.mark.parametrize("name", [name for name in RANGES if name != "locust"])
def test_a_range_leaves_room_for_the_next_patch(name: str) -> None:
    exact = Version(pins("requirements.txt")[name])
    assert Version(f"{exact.major}.{exact.minor}.{exact.micro + 1}") in RANGES[name].specifier
