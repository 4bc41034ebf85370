"""compare.html: the comparison as one small page, with each difference drawn on its tolerance.

No script and no chart library: a bar is a few boxes placed in percent.  Its scale is the
row's own: the tolerance is the grey band, the dot the difference, the line its interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from banksim.report.compare import Change, Comparison, Difference
from banksim.report.compare_text import conclusion, interval_of, moved, name_of, shown
from banksim.report.theme import tokens_css

TONES = {Change.WORSE: "fail", Change.LOST: "fail", Change.BETTER: "pass"}


@dataclass(frozen=True, slots=True)
class Bar:
    """Places on a row's own scale in % of its width; worse is always to the left."""

    band_left: float
    band_width: float
    dot: float
    left: float | None
    width: float | None


def bar_of(row: Difference) -> Bar | None:
    """None when there is nothing to draw."""
    if row.difference is None or row.a is None:
        return None
    tolerance = row.figure.tolerance_at(row.a)
    ends = [end for end in (row.low, row.high) if end is not None]
    reach = 1.1 * max([abs(row.difference), tolerance, *map(abs, ends)])
    if reach == 0:
        return None
    direction = 1 if row.figure.higher_is_better else -1

    def place(value: float) -> float:
        return 50 + 50 * direction * value / reach

    left = width = None
    if row.low is not None and row.high is not None:
        low, high = sorted((place(row.low), place(row.high)))
        left, width = low, high - low
    return Bar(50 - 50 * tolerance / reach, 100 * tolerance / reach, place(row.difference), left, width)


def render_comparison(comparison: Comparison) -> str:
    """The page."""
    currency = str(comparison.b.get("currency", "USD"))

    def cells(row: Difference) -> dict[str, Any]:
        unit = row.figure.unit
        return {
            "label": row.figure.label,
            "a": shown(row.a, unit, currency),
            "b": shown(row.b, unit, currency),
            "moved": moved(row.difference, unit, currency),
            "interval": interval_of(row),
            "tolerance": f"{row.figure.tolerance:.0%}"
            if row.figure.relative
            else moved(row.figure.tolerance, unit, currency).lstrip("+"),
            "word": str(row.change),
            "tone": TONES.get(row.change, "plain"),
            "bar": bar_of(row),
            "gates": row.figure.gates,
        }

    groups: dict[str, list[dict[str, Any]]] = {}
    for row in comparison.headline:
        if row.change is not Change.ABSENT:
            groups.setdefault(row.figure.group, []).append(cells(row))
    if comparison.typologies:
        groups["Recall per typology (shown, never judged)"] = list(map(cells, comparison.typologies))
    environment = Environment(
        loader=PackageLoader("banksim.report", "templates"), autoescape=True, undefined=StrictUndefined
    )
    folder = files("banksim.report").joinpath("templates")
    styles = "".join(
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "compare.css")
    )
    return environment.get_template("compare.html").render(
        runs=[("A", comparison.a), ("B", comparison.b)],
        name_of=name_of,
        remarks=comparison.remarks,
        groups=groups,
        regressed=bool(comparison.regressions),
        conclusion=conclusion(comparison),
        styles=Markup(tokens_css() + styles),
    )
