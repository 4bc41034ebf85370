"""docs/licences.md lists what is installed, and nothing there asks for more than we can give."""

from __future__ import annotations

import re

import pytest

from tests.licences import PAGE, packages, page
from tests.pythons import RUNNING, SUPPORTED

#: Licences under which an MIT-licensed program may be handed on together with the package.
PERMISSIVE = {
    "MIT", "MIT-0", "MIT-CMU", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "ISC", "PSF-2.0",
    "Zlib", "ZPL-2.1", "CC0-1.0", "Unlicense", "HPND", "BSL-1.0",
}  # fmt: skip
#: Its own files stay under it when changed, which we do not do; the program around it may be under any.
WEAK_COPYLEFT = {"MPL-2.0", "LGPL-2.1-or-later"}


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-docs"):
        PAGE.write_text(page())
        return
    if SUPPORTED[0] == RUNNING:
        assert PAGE.read_text() == page(), (
            "run `python -m pytest tests/unit/test_licences.py --update-docs` and look at what changed"
        )
    listed = set(re.findall(r"^\| \[(.+?)\]", PAGE.read_text(), re.MULTILINE))
    assert {package.name for package in packages()} <= listed  # a newer Python needs fewer packages


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.name)
def test_no_licence_stands_in_the_way(package: object) -> None:
    names = set(re.findall(r"[\w.+-]+", package.licence)) - {"AND", "OR", "WITH"}
    assert names and names <= PERMISSIVE | WEAK_COPYLEFT, package
