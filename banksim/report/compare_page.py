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

from banksim.measure.formats import NOT_AVAILABLE, THIN, figure, milliseconds, money, percent
from banksim.report.charts_frame import tokens_css
from banksim.report.compare import Change, Comparison, Difference, Unit

# -- A comparison in words and numbers, and as a table for a terminal -------------------------------


SIGNS = {Change.WORSE: "✗", Change.LOST: "✗", Change.BETTER: "✓"}


def shown(value: float | None, unit: Unit, currency: str) -> str:
    """A figure in its unit."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "share":
        return percent(value)
    if unit == "ms":
        return milliseconds(value)
    return money(round(value), currency) if unit == "money" else figure(value)


def moved(value: float | None, unit: Unit, currency: str) -> str:
    """A difference with its sign; of shares in percentage points."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "share":
        text = f"{figure(value * 100)}{THIN}pp"
    elif unit == "ms":
        text = f"{figure(value)}{THIN}ms"
    else:
        text = shown(value, unit, currency)
    return f"+{text}" if value > 0 else text


def interval_of(row: Difference) -> str:
    """The ends of a difference: "−3.1 to +0.4 pp"."""
    if row.low is None or row.high is None:
        return ""
    scale, unit = {"share": (100, "pp"), "ms": (1, "ms")}.get(row.figure.unit, (1, ""))
    low, high = (f"{'+' if end > 0 else ''}{figure(end * scale)}" for end in (row.low, row.high))
    return f"{low} to {high}{THIN}{unit}".rstrip(THIN) + (" (paired)" if row.paired else "")


def comparison_text(comparison: Comparison) -> str:
    """The whole comparison for a terminal, ending in a line break."""
    currency = comparison.b.currency
    lines = ["", f"A  {comparison.a.run_id}", f"B  {comparison.b.run_id}", ""]
    lines += [f"  {remark}" for remark in comparison.remarks]
    rows = [row for row in comparison.headline if row.change is not Change.ABSENT]
    cells = [("", "A", "B", "B − A", "95 % interval", "")]
    cells += [_cells(row, currency) for row in rows]
    if comparison.typologies:
        cells.append(("", "", "", "", "", ""))
        cells += [_cells(row, currency, "recall of ") for row in comparison.typologies]
    widths = [max(len(row[column]) for row in cells) for column in range(6)]
    lines.append("")
    for row in cells:
        name, *numbers, word = row
        aligned = "  ".join(f"{text:>{width}}" for text, width in zip(numbers, widths[1:5], strict=True))
        lines.append(f"  {name:<{widths[0]}}  {aligned}  {word}".rstrip())
    lines += ["", f"  {conclusion(comparison)}", ""]
    return "\n".join(lines) + "\n"


def conclusion(comparison: Comparison) -> str:
    """One sentence: what got worse, or that nothing did."""
    found = comparison.regressions
    if not found:
        return "No judged figure got worse by more than its tolerance and chance."
    names = ", ".join(row.figure.label for row in found)
    return f"Worse by more than tolerance and chance: {names}."


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown, for a job's summary."""
    currency = comparison.b.currency
    rows = [_cells(row, currency) for row in comparison.headline if row.change is not Change.ABSENT]
    rows += [_cells(row, currency, "recall of ") for row in comparison.typologies]
    lines = [f"**{conclusion(comparison)}**", ""]
    lines += [f"- {remark}" for remark in comparison.remarks]
    lines += ["", f"| | {comparison.a.run_id} | {comparison.b.run_id} | B − A | 95 % interval | |"]
    lines += ["|---|---:|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Difference, currency: str, prefix: str = "") -> tuple[str, str, str, str, str, str]:
    unit = row.figure.unit
    sign = SIGNS.get(row.change, " ") if row.judged else " "
    remark = "" if row.judged or row.change in (Change.SAME, Change.SHOWN) else " (not judged)"
    return (
        prefix + row.figure.label,
        shown(row.a, unit, currency),
        shown(row.b, unit, currency),
        moved(row.difference, unit, currency),
        interval_of(row),
        f"{sign} {row.change}{remark}",
    )


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
    currency = comparison.b.currency

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
            "tone": TONES.get(row.change, "plain") if row.judged else "plain",
            "bar": bar_of(row),
            "judged": row.judged,
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
        remarks=comparison.remarks,
        groups=groups,
        regressed=bool(comparison.regressions),
        conclusion=conclusion(comparison),
        styles=Markup(tokens_css() + styles),
    )
