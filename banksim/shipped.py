"""Where the files that come with banksim are: in a checkout, and in an installed package.

A checkout has `scenarios/` and `locustfiles/` at its top, where people look for them.  A
wheel carries the same two folders inside the package, as `banksim/files/` (pyproject.toml
puts them there), since the top of site-packages belongs to everybody.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str) -> Path:
    """The folder ``name`` ("scenarios", "locustfiles") of this installation."""
    packaged = _PACKAGE / "files" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


LOCUSTFILE = shipped_folder("locustfiles") / "banking.py"
