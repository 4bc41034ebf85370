"""Collects the rows of a data set and says whether it is fit to be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from banksim.dataset.check.distributions import Comparison, compare
from banksim.dataset.check.sample import Sample
from banksim.dataset.check.separation import Separations, import_sklearn, separate
from banksim.dataset.stream import Entry
from banksim.run.plan import Parts

#: From this sophistication on, fraud must not be found by a naive detector.
CAREFUL = 0.7
#: The most that a naive detector may reach: this much average precision above the base rate.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """The check as Markdown text; ``passed`` when nothing judged missed its target."""

    text: str
    passed: bool


class Checker:
    """Sees every block of rows; `report` at the end.  Raises BanksimError without scikit-learn."""

    def __init__(self, parts: Parts) -> None:
        import_sklearn()
        self._parts = parts
        self._sample = Sample()

    def add(self, entries: list[Entry]) -> None:
        self._sample.add(entries)

    def report(self) -> Report:
        """Compare and try to cheat."""
        np, _, _ = import_sklearn()
        world = self._parts.world
        comparisons = compare(self._sample, np, world.currency, world.population.size)
        comparisons += self._separations(separate(self._sample))
        passed = all(c.passed is not False for c in comparisons)
        return Report(_text(comparisons, self._sample, passed), passed)

    def _separations(self, tried: Separations | None) -> list[Comparison]:
        if tried is None:
            return []
        careful = all(spec.sophistication >= CAREFUL for spec in self._parts.desk.specs)
        return [
            Comparison(
                f"average precision: {found.name}",
                f"near {tried.base_rate:.3f}",
                f"{found.precision:.3f}",
                found.precision <= tried.base_rate + MARGIN if careful else None,
                "rule",
            )
            for found in tried.found
        ]


def _text(comparisons: list[Comparison], sample: Sample, passed: bool) -> str:
    words = {True: "pass", False: "**miss**", None: "not judged"}
    lines = ["| figure | target | measured | result | source |", "|---|---|---|---|---|"]
    lines += [
        f"| {c.name} | {c.target} | {c.measured} | {words[c.passed]} | {c.source} |" for c in comparisons
    ]
    judged = sum(c.passed is not None for c in comparisons)
    missed = sum(c.passed is False for c in comparisons)
    verdict = "pass" if passed else "miss"
    lines += ["", f"Self-check: {verdict}. {judged - missed} of {judged} judged figures meet their target."]
    if not comparisons:
        lines = ["Self-check: too few rows to say anything."]
    if sample.left_out:
        lines.append(f"Only the first {len(sample):,} rows were looked at; {sample.left_out:,} were not.")
    return "\n".join(lines)
