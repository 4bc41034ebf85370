"""Two runs side by side: what differs, and is it more than chance?

Every figure that is a share or a percentile has a 95 % interval of its own (Wilson; order
statistics).  The interval of a difference follows from the two by the square-and-add rule
(Zou & Donner's MOVER; for shares it is Newcombe's method 10):

    d = b − a
    low  = d − √((b − b_low)² + (a_high − a)²)
    high = d + √((b_high − b)² + (a − a_low)²)

It takes the runs as independent and transactions too.  Runs of one scenario (same content
hash) with one seed send the same fraud, so recall is then paired by campaign: the difference
over campaigns that both runs know, with a variance between campaigns, which honours that
transactions of one campaign are not independent (compare_paired.py).

A figure has got worse when it moved in its bad direction by more than its tolerance, and its
interval, if it has one, leaves out 0.  A figure that B no longer has counts as worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Any

from banksim.report.compare_figures import FIGURES, Figure, Value
from banksim.report.compare_paired import paired_recall


class Change(StrEnum):
    """What became of a figure from A to B."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no clear change"
    LOST = "no longer measured"
    NEW = "newly measured"
    ABSENT = "not measured"


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both runs; ``low`` and ``high`` enclose ``difference`` (b − a), None if unknown."""

    figure: Figure
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    change: Change
    paired: bool = False

    @property
    def regressed(self) -> bool:
        return self.figure.gates and self.change in (Change.WORSE, Change.LOST)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``a`` and ``b`` are the "run" parts of both results; ``remarks`` say what limits the comparison."""

    a: Mapping[str, Any]
    b: Mapping[str, Any]
    same_plan: bool
    headline: list[Difference]
    typologies: list[Difference]
    remarks: list[str]

    @property
    def regressions(self) -> list[Difference]:
        return [row for row in self.headline if row.regressed]


def compare_runs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Compare two results dictionaries (see results.py); b is the newer one."""
    same_plan = _identity(a) == _identity(b) and None not in _identity(a)
    headline = [difference(figure, figure.read(a), figure.read(b)) for figure in FIGURES]
    if same_plan and (paired := paired_recall(a, b)) is not None:
        headline = [_with_pairs(row, paired) if row.figure.key == "recall" else row for row in headline]
    return Comparison(
        a["run"], b["run"], same_plan, headline, _by_typology(a, b), _remarks(a, b, same_plan, headline)
    )


def difference(figure: Figure, a: Value | None, b: Value | None) -> Difference:
    """One figure of both runs, taken as independent."""
    if a is None or b is None:
        change = Change.ABSENT if a is b else Change.LOST if b is None else Change.NEW
        before, after = (value.value if value is not None else None for value in (a, b))
        return Difference(figure, before, after, None, None, None, change)
    moved = b.value - a.value
    low = high = None
    if a.low is not None and a.high is not None and b.low is not None and b.high is not None:
        low = moved - sqrt((b.value - b.low) ** 2 + (a.high - a.value) ** 2)
        high = moved + sqrt((b.high - b.value) ** 2 + (a.value - a.low) ** 2)
    return Difference(figure, a.value, b.value, moved, low, high, _change(figure, a.value, moved, low, high))


def _change(figure: Figure, before: float, moved: float, low: float | None, high: float | None) -> Change:
    if abs(moved) <= figure.tolerance_at(before) or not moved:
        return Change.SAME
    if low is not None and high is not None and low <= 0 <= high:
        return Change.SAME
    return Change.BETTER if (moved > 0) == figure.higher_is_better else Change.WORSE


def _with_pairs(row: Difference, paired: tuple[float, float, float]) -> Difference:
    moved, low, high = paired
    if row.a is None or row.b is None:
        return row
    change = _change(row.figure, row.a, moved, low, high)
    return Difference(row.figure, row.a, row.b, moved, low, high, change, paired=True)


def _by_typology(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    rows_a, rows_b = a["fraud"]["by_typology"], b["fraud"]["by_typology"]
    return [
        difference(
            Figure(name, name.replace("_", " "), "share", True, 0.05, "", lambda _: None, gates=False),
            _recall_of(rows_a.get(name)),
            _recall_of(rows_b.get(name)),
        )
        for name in sorted({*rows_a, *rows_b})
    ]


def _recall_of(row: Mapping[str, Any] | None) -> Value | None:
    if row is None or row["recall"] is None:
        return None
    return Value(row["recall"], row["recall_low"], row["recall_high"])


def _identity(results: Mapping[str, Any]) -> tuple[Any, Any]:
    run = results["run"]
    return run.get("scenario", {}).get("hash"), run.get("seed")


def _remarks(
    a: Mapping[str, Any], b: Mapping[str, Any], same_plan: bool, rows: list[Difference]
) -> list[str]:
    found = []
    (hash_a, seed_a), (hash_b, seed_b) = _identity(a), _identity(b)
    if hash_a != hash_b:
        found.append("The scenarios differ in content: differences may come from what was sent.")
    elif seed_a != seed_b:
        found.append("The seeds differ: both runs sent other transactions of the same kind.")
    elif same_plan:
        pairs = any(row.paired for row in rows)
        found.append(
            "Same scenario, same seed: both runs planned the same transactions"
            + (", so recall is paired by campaign." if pairs else ".")
        )
    for key, name in (("mode", "mode"), ("speed", "speed"), ("customers", "number of customers")):
        if a["run"].get(key) != b["run"].get(key):
            found.append(f"The {name} differs: {a['run'].get(key)} and {b['run'].get(key)}.")
    if a["run"].get("machine") != b["run"].get("machine"):
        found.append("The runs came from different machines: compare times with care.")
    for name, results in (("A", a), ("B", b)):
        if results["run"].get("end", "completed") != "completed":
            found.append(f"Run {name} was {results['run']['end']}.")
    return found
