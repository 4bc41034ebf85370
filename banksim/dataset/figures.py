"""What a figure of the self-check is, and how those of several seeds become one row of its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and the range it should be in.

    ``target`` is the published value in words, ``form`` how the value is written, ``source`` a mark of
    docs/realism.md.  Shown without a verdict where not ``judged``.
    """

    name: str
    target: str
    value: float
    low: float
    high: float
    source: str
    form: str = "{:.3g}"
    judged: bool = True

    @property
    def passed(self) -> bool | None:
        return self.low <= self.value <= self.high if self.judged else None

    @property
    def measured(self) -> str:
        return self.form.format(self.value)


def near(
    name: str, target: float, value: float, tolerance: float, source: str, form: str = "{:.3g}"
) -> Figure:
    """A figure that may miss its target by the part ``tolerance`` of it."""
    span = tolerance * target
    return Figure(name, form.format(target), value, target - span, target + span, source, form)


def least(name: str, low: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"at least {form.format(low)}", value, low, inf, source, form)


def most(name: str, high: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"at most {form.format(high)}", value, -inf, high, source, form)


def between(name: str, low: float, high: float, value: float, source: str, form: str = "{:.3g}") -> Figure:
    return Figure(name, f"{form.format(low)} to {form.format(high)}", value, low, high, source, form)


def table(by_seed: Sequence[Sequence[Figure]]) -> tuple[list[str], int, int]:
    """Rows of Markdown, one per figure, with the range over seeds; how many are judged, and missed.

    A figure passes when it does on every seed that has it.
    """
    of_name: dict[str, list[Figure]] = {}
    for figures in by_seed:
        for figure in figures:
            of_name.setdefault(figure.name, []).append(figure)
    lines = ["| figure | target | measured | result | source |", "|---|---|---|---|---|"]
    judged = missed = 0
    for name, found in of_name.items():
        lowest, highest = (choose(found, key=lambda f: f.value) for choose in (min, max))
        measured = lowest.measured
        if highest.measured != measured:
            measured = f"{measured} … {highest.measured}"
        verdicts = [figure.passed for figure in found]
        word = "not judged" if None in verdicts else "pass" if all(verdicts) else "**miss**"
        judged += word != "not judged"
        missed += word == "**miss**"
        lines.append(f"| {name} | {found[0].target} | {measured} | {word} | {found[0].source} |")
    return lines, judged, missed
