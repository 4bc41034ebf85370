"""The licences of what banksim installs, as the installed packages state them.

The closure of banksim's own requirements and of its extras; tools for development are not
part of what is handed on.  Versions are left out: those of direct requirements are in
requirements.txt, and those of the others depend on the day of the installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).resolve().parents[1] / "docs" / "licences.md"
EXTRAS = ("", "postgres", "parquet", "check")

#: What classifiers and free texts mean, as SPDX says it.
SPDX = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True, slots=True, order=True)
class Package:
    name: str
    licence: str
    home: str
    needed_by: str


def packages() -> list[Package]:
    """Every package of the closure, sorted by name."""
    found: dict[str, Package] = {}
    waiting = [("banksim", extra, "") for extra in EXTRAS]
    seen = set()
    while waiting:
        name, extra, parent = waiting.pop(0)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            data = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        if name != "banksim":
            found.setdefault(name, Package(name, licence(data.metadata), home(data.metadata), parent))
        for text in data.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(requirement.name)
                waiting += [(wanted, more, name) for more in ("", *sorted(requirement.extras))]
    return sorted(found.values())


def licence(data: metadata.PackageMetadata) -> str:
    """An SPDX expression where the package states one, else what its classifiers or its free text mean."""
    if stated := data.get("License-Expression"):
        return str(stated)
    classifiers = [
        text.split(" :: ")[-1] for text in data.get_all("Classifier") or [] if "License ::" in text
    ]
    free = str(data.get("License") or "").strip().partition("\n")[0]
    names = [name for name in classifiers if name != "OSI Approved"] or ([free] if free else [])
    return " AND ".join(SPDX.get(name, name) for name in names) or "not stated"


def home(data: metadata.PackageMetadata) -> str:
    """The project's page: its home page, else its repository, else the first address it names."""
    urls = dict(entry.split(", ", 1) for entry in data.get_all("Project-URL") or [])
    named = {name.lower().replace(" ", ""): url for name, url in urls.items()}
    wanted = ("homepage", "repository", "source", "sourcecode", "code", "github", "documentation")
    return str(data.get("Home-page") or next((named[key] for key in wanted if key in named), "")) or next(
        iter(urls.values()), ""
    )


def page() -> str:
    """docs/licences.md as it ought to be."""
    rows = [f"| [{row.name}]({row.home}) | {row.licence} | {row.needed_by} |" for row in packages()]
    return "\n".join(
        [
            "# Third-party licences",
            "",
            "banksim itself is under the MIT licence. An installation also holds the packages below, each",
            "under its own licence and none of them changed. The list covers what installing banksim brings,",
            "with the extras `postgres`, `parquet` and `check`. Report and pages hold the bundle of line",
            "and bar charts of [plotly.js](https://github.com/plotly/plotly.js) (`banksim/report/static`,",
            "MIT), unchanged.",
            "",
            "<!-- generated from the installed packages by `python -m pytest tests/unit/test_licences.py"
            " --update-docs` -->",
            "",
            "| package | licence | needed by |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )
