"""One chart theme, shared by the report and the live pages.

The colours live in ``templates/tokens.css`` and nowhere else: `colours` reads them from
there, so that a chart and the page around it cannot drift apart.  Traces name a colour by
its role; `chart_layout` gives what a Plotly layout needs to sit on the page.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Theme = Literal["light", "dark"]

#: Roles a chart may use, in the words of tokens.css.
ROLES = (
    *("page", "surface", "surface-sunken", "line", "line-strong", "text", "text-muted", "accent"),
    *("data-fraud", "data-genuine", "data-suspicious", "data-caught", "data-sky", "data-purple"),
    *("data-neutral", "data-attack-band", "data-fault-band"),
)

_DECLARATION = re.compile(r"--([a-z0-9-]+):\s*([^;]+);")


#: The chart library's bundle of line and bar charts, a quarter of the whole, under its own MIT licence.
PLOTLY = "plotly-basic.min.js"


def template_text(name: str) -> str:
    """A file of this package's templates."""
    return files("banksim.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def plotly_js() -> str:
    """The chart library, of the version that the plotly package draws for."""
    return files("banksim.report").joinpath("static", PLOTLY).read_text(encoding="utf-8")


def script(name: str) -> str:
    """A script as the report embeds it; what pages import as a module is plain functions there."""
    return template_text(name).replace("\nexport ", "\n")


@cache
def tokens_css() -> str:
    """The text of the design token file."""
    return template_text("tokens.css")


@cache
def tokens(theme: Theme) -> dict[str, str]:
    """Every custom property of one theme: {"page": "#f6f7f6", ...}."""
    light_block, dark_block = tokens_css().split(':root[data-theme="dark"]')
    found = dict(_DECLARATION.findall(light_block.split("@media")[0]))
    if theme == "dark":
        found |= dict(_DECLARATION.findall(dark_block))
    return found


def colours(theme: Theme) -> dict[str, str]:
    """The colours of the chart roles in one theme."""
    every = tokens(theme)
    return {role: every[role] for role in ROLES}


def chart_layout(theme: Theme) -> dict[str, Any]:
    """The part of a Plotly layout that depends on the theme (fonts, grid, hover, legend)."""
    every = tokens(theme)
    axis = {
        "gridcolor": every["line"],
        "linecolor": every["line-strong"],
        "zerolinecolor": every["line-strong"],
        "tickfont": {"color": every["text-muted"]},
        "title": {"font": {"color": every["text-muted"], "size": 13}},
    }
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "separators": ".\u202f",
        "font": {"family": every["font-sans"], "size": 13, "color": every["text"]},
        "hoverlabel": {
            "bgcolor": every["surface-sunken"],
            "bordercolor": every["line-strong"],
            "font": {"color": every["text"]},
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)",
            "color": every["text-muted"],
            "activecolor": every["accent"],
        },
        "xaxis": axis,
        "yaxis": axis,
        "yaxis2": axis,
    }
