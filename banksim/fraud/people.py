"""Who can be drawn into fraud: victims and accomplices, drawn but never stored.

Not everybody is a victim sooner or later: in each run only part of the customers are
*exposed* (their data is in some breach), and a few others lend their accounts.  The two
groups do not overlap, and both are spread over personas and over the whole index range:

    rank r  →  index (offset + r × stride) mod size      stride coprime to size
    |── victims ──|─ accomplices ─|───── never touched ─────|

so membership costs no memory whatever the size of the population.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import overload

from banksim.world import Customer, Population, stream

# -- The accomplices of one campaign, by post: a blocked one loses the post to the next -------------
#
# A typology names posts (0, 1, 2 …), never keeps people, so that whoever holds a post when
# money is sent is the one it goes to.  What a blocked account holds is lost: nobody passes it on.
# In a small bank there may be fewer people than posts; then one holds several.


#: Replacements drawn before a post stays with somebody who was blocked already.
ACCOMPLICE_DRAWS = 8

#: Draws somebody who lends an account.
Recruit = Callable[[], Customer]


class Crew(Sequence[Customer]):
    """Accomplices by post.  ``blocked`` holds the indices of those who were replaced."""

    def __init__(self, recruit: Recruit, posts: int) -> None:
        self.blocked: set[int] = set()
        self._recruit = recruit
        people = (recruit() for _ in range(max(1, posts)))
        self._members = list({person.index: person for person in people}.values())

    def __len__(self) -> int:
        """Different people, at most as many as posts were asked for."""
        return len(self._members)

    @overload
    def __getitem__(self, post: int) -> Customer: ...
    @overload
    def __getitem__(self, post: slice) -> list[Customer]: ...
    def __getitem__(self, post: int | slice) -> Customer | list[Customer]:
        """Who holds ``post`` now; posts beyond the last person start again at the first."""
        if isinstance(post, slice):
            return self._members[post]
        return self._members[post % len(self._members)]

    def __iter__(self) -> Iterator[Customer]:
        return iter(self._members)

    def holds(self, index: int) -> bool:
        """Whether the customer of that population index has a post."""
        return any(person.index == index for person in self._members)

    def replace(self, index: int) -> None:
        """The account of that customer was blocked: somebody else takes the post."""
        self.blocked.add(index)
        for post, person in enumerate(self._members):
            if person.index == index:
                self._members[post] = self._successor(person)

    def _successor(self, blocked: Customer) -> Customer:
        for _ in range(ACCOMPLICE_DRAWS):
            person = self._recruit()
            if person.index not in self.blocked and not self.holds(person.index):
                return person
        return blocked


#: Part of the customers whose data is exposed, and the least number of them (judgement).
EXPOSED_SHARE, LEAST_EXPOSED = 0.3, 20
#: Part of the customers who lend or rent out their account (judgement).
ACCOMPLICE_SHARE, LEAST_ACCOMPLICES = 0.05, 10
#: Draws before a less suitable person is taken.
DRAWS = 60

Suits = Callable[[Customer], bool]


class Cast:
    """The exposed customers and the accomplices of one run."""

    def __init__(self, seed: int, population: Population) -> None:
        size = population.size
        rng = stream(seed, "fraud cast")
        self._population = population
        self._offset = rng.randrange(size)
        stride = rng.randrange(1, size + 1)
        while math.gcd(stride, size) != 1:
            stride += 1
        self._stride = stride
        self.victims = min(size, max(LEAST_EXPOSED, math.ceil(EXPOSED_SHARE * size)))
        wanted = max(LEAST_ACCOMPLICES, math.ceil(ACCOMPLICE_SHARE * size))
        if size - self.victims < wanted:  # a handful of customers: make room for both
            self.victims = max(1, size - min(wanted, size // 2))
        self.accomplices = min(wanted, size - self.victims)

    def is_victim(self, rank: int) -> bool:
        return rank < self.victims

    def index_of(self, rank: int) -> int:
        """Index of the ``rank``-th customer: victims first, then accomplices, then the others."""
        return (self._offset + rank * self._stride) % self._population.size

    def victim(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """An exposed customer who suits and is not to be avoided, if there is one to be found.

        After `DRAWS` tries one who suits, though to be avoided, will do; then the first drawn.
        """
        return self._pick(rng, 0, self.victims, suits, avoid)

    def accomplice(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """An accomplice, by the same rules.  In a population of one, that one."""
        if self.accomplices == 0:
            return self._pick(rng, 0, self.victims, suits, avoid)
        return self._pick(rng, self.victims, self.accomplices, suits, avoid)

    def bystander(self, rng: random.Random, suits: Suits, avoid: Collection[int]) -> Customer:
        """Anybody but an accomplice, by the same rules: exposed customers live honestly too."""
        return self._pick(rng, self.victims + self.accomplices, self._honest, suits, avoid)

    @property
    def _honest(self) -> int:
        return self._population.size - self.accomplices

    def _pick(
        self, rng: random.Random, first_rank: int, ranks: int, suits: Suits, avoid: Collection[int]
    ) -> Customer:
        first: Customer | None = None
        second_best: Customer | None = None
        for _ in range(DRAWS):
            customer = self._population.customer(self.index_of(first_rank + rng.randrange(ranks)))
            first = first or customer
            if not suits(customer):
                continue
            if customer.index not in avoid:
                return customer
            second_best = second_best or customer
        found = second_best or first
        assert found is not None  # DRAWS is at least 1
        return found
