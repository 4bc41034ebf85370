"""The self-check of a data set: is it like what was published, and can fraud be told too easily?

rows ─► `Sample` ─► figures with a range (`distributions`, `people`, `separation`) ─► one table over seeds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from banksim.dataset.check.distributions import compare
from banksim.dataset.check.people import figures
from banksim.dataset.check.sample import Figure, Sample, table
from banksim.dataset.check.separation import naive
from banksim.dataset.stream import Entry
from banksim.run.plan import Parts

#: From this sophistication on, fraud must not be found by a naive detector.
CAREFUL = 0.7


@dataclass(frozen=True, slots=True)
class Report:
    """The check as Markdown text; ``passed`` when nothing judged missed its target."""

    text: str
    passed: bool


class Checker:
    """Sees every block of rows of one set."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        population = parts.world.population
        state = parts.activity.rows.state
        self._opening = float(state.balances.sum())
        self._customers = population.size
        self.sample = Sample()

    def add(self, entries: list[Entry]) -> None:
        self.sample.add(entries)

    def figures(self) -> list[Figure]:
        """Everything with a published counterpart; empty for a set too small to say anything."""
        world, sample = self._parts.world, self.sample
        found = compare(sample, world.currency, self._customers)
        if not found:
            return []
        closing = float(self._parts.activity.rows.state.balances.sum())
        return [*found, *figures(sample, world.places.home_country, (self._opening, closing))]

    @property
    def is_careful(self) -> bool:
        """Whether all campaigns are sophisticated: only then must naive detectors fail."""
        return all(spec.sophistication >= CAREFUL for spec in self._parts.desk.specs)


def report(checkers: Sequence[Checker]) -> Report:
    """One table over sets of several seeds; naive detectors learn on each and are measured on the next."""
    by_seed = [checker.figures() for checker in checkers]
    samples = [checker.sample for checker in checkers]
    for nth, checker in enumerate(checkers):
        if len(checkers) > 1 and by_seed[nth]:
            by_seed[nth] += naive(samples[nth - 1], samples[nth], checker.is_careful)
    if not any(by_seed):
        return Report("Self-check: too few rows to say anything.", True)
    lines, judged, missed = table(by_seed)
    verdict = "miss" if missed else "pass"
    lines += ["", f"Self-check: {verdict}. {judged - missed} of {judged} judged figures meet their target."]
    sample = samples[0]
    if sample.left_out:
        lines.append(f"Only the first {len(sample):,} rows were looked at; {sample.left_out:,} were not.")
    return Report("\n".join(lines), missed == 0)
