"""The pages there are.  Adding one is a line here, a template and a module in static/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Page:
    """``slug`` is its place under /banksim/ (empty for the first one), ``title`` its name in the menu."""

    slug: str
    title: str
    template: str
    module: str


PAGES: Final = (Page(slug="", title="Live", template="banksim_live.html", module="live.js"),)
