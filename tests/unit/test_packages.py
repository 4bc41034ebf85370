"""Ranges in the package's metadata, exact versions for a run of this repository: both name the same."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
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


def locked() -> dict[str, str]:
    """The text of each package in the lock file, its hashes included."""
    entries = re.split(r"^(?=\w)", (ROOT / "requirements.lock").read_text("utf-8"), flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in entries if "==" in entry}


def closure(names: set[str]) -> set[str]:
    """The packages and all that they need on this machine, under the names of the lock file."""
    found: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or ())
            names |= {one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})}
    return found


def test_the_lock_file_holds_all_that_a_run_needs_each_with_hashes() -> None:
    lock = locked()
    assert closure(set(RANGES) | {"pg8000"}) <= lock.keys()
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in lock.values())
    assert len(lock) > 40


@pytest.mark.parametrize(("name", "exact"), pins("requirements.txt").items())
def test_the_lock_file_has_the_exact_version(name: str, exact: str) -> None:
    assert locked()[name].startswith(f"{name}=={exact} ")


def test_what_is_installed_here_is_what_the_lock_file_says() -> None:
    """The tests judge the libraries that a run gets."""
    for name in closure(set(RANGES)):
        assert locked()[name].startswith(f"{name}=={distribution(name).version} "), name


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
