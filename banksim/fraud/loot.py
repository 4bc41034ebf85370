"""What a campaign got away with: the customers whose card or account worked.

A follower inherits it.  Bounded: beyond `MAX_LOOT` nothing is added, only counted; a
thief with ten thousand live cards has no use for more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from banksim.world import Customer

MAX_LOOT = 10_000


class Loot:
    """Indices of customers, each once, in the order they were won."""

    def __init__(self, indices: Iterable[int] = ()) -> None:
        self._indices: dict[int, None] = {}
        self.overflow = 0
        for index in indices:
            self.add(index)

    def add(self, target: Customer | int) -> None:
        index = target if isinstance(target, int) else target.index
        if index in self._indices:
            return
        if len(self._indices) >= MAX_LOOT:
            self.overflow += 1
            return
        self._indices[index] = None

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __contains__(self, target: object) -> bool:
        return (target.index if isinstance(target, Customer) else target) in self._indices
