"""What a typology is, the decorator that marks one, and the registry of those a run knows.

A typology is a generator function that yields planned transactions and receives their outcomes.

    @typology("card_testing", mean_size=30, mean_duration_s=15 * 60)
    def card_testing(campaign): ...

The decorator only *marks* a function with its name and usual size.  A `Registry` is built from
modules (see `registry`), so importing a file changes nothing by itself, and two runs in one process
can know different typologies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from banksim.model import Label, Outcome, Planned, ScenarioError

#: What a typology function returns when called.
Steps = Generator[Planned, Outcome, None]
TypologyFunction = Callable[[Any], Steps]  # called with a `Campaign`
Marked = TypeVar("Marked", bound=Callable[..., Steps])

MARK = "__banksim_typology__"


@dataclass(frozen=True, slots=True)
class Typology:
    """A kind of fraud.

    ``mean_size`` transactions take about ``mean_duration_s`` simulated seconds at intensity
    1; the planner sizes campaigns by it.  Fewer than ``min_size`` make no sense (a chain of
    one transfer is not a chain), so the planner avoids them unless a ``count`` asks for them.
    ``size_option`` names the pattern's key that sets the usual size, where there is one.
    ``label`` is the truth of its steps: FRAUD, or DECOY for genuine behaviour that looks like it.
    ``victims_pay``: the victims act themselves, so nearly nothing happens while people sleep.
    """

    name: str
    run: TypologyFunction
    mean_size: float
    min_size: int
    mean_duration_s: float
    size_option: str | None = None
    label: Label = Label.FRAUD
    aliases: tuple[str, ...] = ()
    victims_pay: bool = False

    @property
    def is_decoy(self) -> bool:
        return self.label is Label.DECOY

    @property
    def mean_gap_s(self) -> float:
        """Simulated seconds between two steps at intensity 1."""
        return self.mean_duration_s / self.mean_size


def typology(
    name: str,
    *,
    aliases: Sequence[str] = (),
    mean_size: float = 10.0,
    min_size: int = 1,
    mean_duration_s: float = 1800.0,
    size_option: str | None = None,
    label: Label = Label.FRAUD,
    victims_pay: bool = False,
) -> Callable[[Marked], Marked]:
    """Mark a generator function as the typology ``name``.

    ``size_option`` is a key of `Pattern` that holds the usual size, such as `transaction_burst`.
    Raises ValueError when a size or duration is not positive, TypeError when the marked
    thing is not a generator function.
    """
    if min_size < 1 or mean_size < min_size or mean_duration_s <= 0:
        raise ValueError(f"typology {name}: needs 1 <= min_size <= mean_size and mean_duration_s > 0")

    def mark(function: Marked) -> Marked:
        if not inspect.isgeneratorfunction(function):
            raise TypeError(f"typology {name}: {function!r} must be a generator function (it never yields)")
        kind = Typology(
            name,
            function,
            mean_size,
            min_size,
            mean_duration_s,
            size_option,
            label,
            tuple(aliases),
            victims_pay,
        )
        setattr(function, MARK, kind)
        return function

    return mark


class Registry:
    """The typologies of one run, by name and alias."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self._by_name: dict[str, Typology] = {}
        self._alias: dict[str, str] = {}
        for module in modules:
            self.add_module(module)

    def add_module(self, module: ModuleType) -> list[str]:
        """Add every typology defined in ``module``; return their names."""
        found = []
        for value in vars(module).values():
            kind = getattr(value, MARK, None)
            if isinstance(kind, Typology) and value.__module__ == module.__name__:
                self._by_name[kind.name] = kind
                self._alias.update(dict.fromkeys(kind.aliases, kind.name))
                found.append(kind.name)
        return found

    def get(self, name: str) -> Typology:
        """The typology of that name or alias.  Raises ScenarioError when there is none."""
        found = self._by_name.get(name) or self._by_name.get(self._alias.get(name, ""))
        if found is None:
            known = ", ".join(self.names(Label.FRAUD))
            raise ScenarioError([f"fraud.patterns: unknown kind of fraud {name!r}; known: {known}"])
        return found

    def names(self, label: Label | None = None) -> list[str]:
        """Every name, or those of one label, sorted; aliases are not listed."""
        return sorted(name for name, kind in self._by_name.items() if label is None or kind.label is label)
